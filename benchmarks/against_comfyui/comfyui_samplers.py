"""Runs the cases of ``sampling_cases.py`` in a ComfyUI. Started by ``samplers.py``, with ComfyUI's interpreter:
``python comfyui_samplers.py COMFYUI OUT``; writes latents to ``OUT`` (safetensors), errors to ``OUT.errors`` (JSON).
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMFYUI, OUT = Path(sys.argv[1]), Path(sys.argv[2])
sys.path[:0] = [str(COMFYUI), str(HERE)]
sys.argv = ["main.py", "--cpu", "--base-directory", tempfile.mkdtemp()]

# The second import reads the arguments; a node pack could shadow "utils".
# isort: off
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import utils.extra_config  # noqa: E402 F401
import comfy.model_base  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy_extras.nodes_advanced_samplers as advanced  # noqa: E402
import comfy_extras.nodes_custom_sampler as custom  # noqa: E402
import nodes  # noqa: E402
import safetensors.torch  # noqa: E402
import sampling_cases as cases  # noqa: E402
import torch  # noqa: E402
# isort: on


class Formula(torch.nn.Module):
    dtype = torch.float32

    def forward(self, x, timesteps, context=None, **more):
        return cases.network(x, timesteps, context)


def model_of(kind):
    supported = comfy.supported_models.SD3 if kind == "flow" else comfy.supported_models.SD15
    config = supported({"disable_unet_model_creation": True, "in_channels": 4})
    types = comfy.model_base.ModelType
    of_kind = {"eps": types.EPS, "v": types.V_PREDICTION, "flow": types.FLOW}[kind]
    config.latent_format = comfy.latent_formats.SD15()
    model = comfy.model_base.BaseModel(config, model_type=of_kind)
    model.diffusion_model = Formula()
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def run(case, model):
    positive = cases.conditioning(case.get("positive", [{"says": 0.7}]))
    negative = cases.conditioning(case.get("negative", [{"says": -0.4}]))
    latent = {"samples": torch.zeros(cases.SHAPE)}
    if "latent" in case:
        latent["samples"] = cases.drawn(case["latent"])
    if case.get("mask"):
        latent["noise_mask"] = cases.box_mask(cases.SHAPE[-2:], (9, 11, 4, 6))
    if "node" in case:
        found = getattr(custom, case["node"], None) or getattr(advanced, case["node"], None)
        inputs = dict(case["inputs"])
        if case["node"] == "SamplerSASolver":
            inputs["model"] = model
        sampler = found.execute(**inputs)[0]
        sigmas = custom.BasicScheduler.execute(model, case["scheduler"], case["steps"], 1.0)[0]
        result = custom.SamplerCustom.execute(
            model, True, case["seed"], case["cfg"], positive, negative, sampler, sigmas, latent
        )
        return result[0]["samples"]
    more = {"denoise": case.get("denoise", 1.0)}
    if "start" in case:
        more |= {"start_step": case["start"], "last_step": case["end"], "force_full_denoise": False}
    (result,) = nodes.common_ksampler(
        model,
        case["seed"],
        case["steps"],
        case["cfg"],
        case["sampler"],
        case["scheduler"],
        positive,
        negative,
        latent,
        **more,
    )
    return result["samples"]


def main():
    models = {kind: model_of(kind) for kind in ("eps", "v", "flow")}
    made, errors = {}, {}
    for name, case in cases.cases(comfy.samplers.SAMPLER_NAMES, comfy.samplers.SCHEDULER_NAMES).items():
        torch.manual_seed(0)
        try:
            with torch.inference_mode():
                made[name] = run(case, models[case["kind"]]).contiguous().clone()
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
    safetensors.torch.save_file(made, OUT)
    Path(f"{OUT}.errors").write_text(json.dumps(errors, indent=1), "utf-8")


if __name__ == "__main__":
    main()
