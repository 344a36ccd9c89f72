"""Runs node cases in a ComfyUI. Started by ``nodes.py``, with ComfyUI's interpreter:
``python comfyui_nodes.py COMFYUI CASES OUT``. ``CASES`` and ``OUT`` are JSON; the tensors of ``OUT`` are in a
``.safetensors`` file beside it.
"""

import asyncio
import inspect
import json
import sys
from pathlib import Path

sys.argv, (CASES, OUT) = [*sys.argv[:2], "/dev/null"], map(Path, sys.argv[2:4])

# The first import sets ComfyUI's path and its arguments.
# isort: off
import comfyui_samplers as side  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.samplers  # noqa: E402
import node_values  # noqa: E402
import nodes  # noqa: E402
import safetensors.torch  # noqa: E402
import sampling_cases  # noqa: E402
import torch  # noqa: E402
# isort: on

MODELS = {kind: side.model_of(kind) for kind in ("eps", "v", "flow")}


def stand_in(value):
    """Return what represents a value: for models and guiders, a result of sampling; for noise and operations, their
    output."""
    latent = {"samples": torch.zeros(sampling_cases.SHAPE)}
    if isinstance(value, comfy.model_patcher.ModelPatcher):
        case = {"kind": "eps", "sampler": "euler", "scheduler": "normal", "steps": 3, "cfg": 3.0, "seed": 42}
        return side.run(case, value)
    if isinstance(value, comfy.samplers.CFGGuider):
        sigmas = comfy.samplers.calculate_sigmas(value.model_patcher.get_model_object("model_sampling"), "normal", 3)
        noise = side.custom.Noise_RandomNoise(42)
        sampler = comfy.samplers.sampler_object("euler")
        return side.custom.SamplerCustomAdvanced.execute(noise, value, sampler, sigmas, latent)[0]["samples"]
    if hasattr(value, "generate_noise"):
        return value.generate_noise(latent)
    if callable(value):
        return value(latent=sampling_cases.drawn(3))
    return value


def called(name, inputs):
    node = nodes.NODE_CLASS_MAPPINGS[name]
    call = node.execute if hasattr(node, "define_schema") else getattr(node(), node.FUNCTION)
    result = call(**inputs)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if hasattr(result, "args"):
        return list(result.args or ())
    if isinstance(result, dict):
        result = result.get("result", ())
    return list(result)


def main():
    asyncio.run(nodes.init_builtin_extra_nodes())
    results, made = [], {}
    for case in json.loads(CASES.read_text("utf-8")):
        if case["node"] not in nodes.NODE_CLASS_MAPPINGS:
            results.append({"absent": True})
            continue
        torch.manual_seed(0)
        try:
            with torch.inference_mode():
                inputs = {name: node_values.read(value, MODELS) for name, value in case["inputs"].items()}
                results.append({"values": node_values.written(called(case["node"], inputs), made, stand_in)})
        except Exception as error:
            results.append({"error": f"{type(error).__name__}: {error}"[:200]})
    OUT.write_text(json.dumps(results), "utf-8")
    safetensors.torch.save_file(made, OUT.with_suffix(".safetensors"))


if __name__ == "__main__":
    main()
