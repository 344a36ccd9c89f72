"""Runs the cases of ``family_cases.py`` in a ComfyUI. Started by ``families.py``, with ComfyUI's interpreter:
``python comfyui_families.py COMFYUI WEIGHTS OUT CASE...``; reads ``WEIGHTS/FAMILY.safetensors``, writes the latents of
each case to ``OUT/CASE.safetensors``.
"""

import importlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMFYUI, WEIGHTS, OUT = (Path(argument) for argument in sys.argv[1:4])
NAMES = sys.argv[4:]
sys.path[:0] = [str(COMFYUI), str(HERE.parents[1])]
sys.argv = ["main.py", "--cpu", "--base-directory", tempfile.mkdtemp()]

# isort: off
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.conds  # noqa: E402
import comfy.ldm.cosmos.predict2  # noqa: E402
import comfy.model_base  # noqa: E402
import comfy.model_detection  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.nested_tensor  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.supported_models  # noqa: E402
import comfy.utils  # noqa: E402
from benchmarks.against_comfyui import family_cases as cases  # noqa: E402
from benchmarks.against_comfyui.ltx_cases import METADATA  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
# isort: on


class CosmosBase(comfy.model_base.BaseModel):
    """Cosmos-Predict2's network with plain conditioning."""

    def __init__(self, config, device=None):
        kind = comfy.model_base.ModelType.FLOW
        super().__init__(config, kind, device, unet_model=comfy.ldm.cosmos.predict2.MiniTrainDIT)

    def extra_conds(self, **given):
        return {"c_crossattn": comfy.conds.CONDRegular(given["cross_attn"])}


class CosmosFlow(comfy.supported_models.QwenImage):
    """Cosmos-Predict2's network, sampled as Anima is."""

    def get_model(self, state_dict, prefix="", device=None):
        return CosmosBase(self, device)


CosmosFlow.sampling_settings = {"multiplier": 1.0, "shift": 3.0}
comfy.supported_models.CosmosFlow = CosmosFlow


def model_of(case):
    state = load_file(WEIGHTS / f"{case['family']}.safetensors")
    state |= {f"conditioner.conditioners.{name}": value for name, value in state.items() if name.startswith("seconds_")}
    settings = comfy.model_detection.detect_unet_config(state, "")
    settings.update(case["config"] | METADATA.get(case["family"], {}))
    config = getattr(comfy.supported_models, case["supported"])(settings)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(state, "")
    model.load_model_weights(state, "")
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def without_aliasing(holder):
    """It adds to its input in place. In float32 that is the sampler's own tensor, which falsifies the step; in half
    precision, which published networks have, it is a copy."""
    if not hasattr(holder, "apply_in_place"):
        holder.apply_in_place = holder.apply_cache_diff
        holder.apply_cache_diff = lambda self, x, uuids: self.apply_in_place(x.clone(), uuids)


def with_nodes(model, chosen):
    """``chosen``: names of nodes that change the model, with their inputs."""
    modules = {
        "EasyCache": "nodes_easycache",
        "LazyCache": "nodes_easycache",
        "RenormCFG": "nodes_lumina2",
        "TemporalScoreRescaling": "nodes_eps",
    }
    for name, inputs in chosen.items():
        module = importlib.import_module(f"comfy_extras.{modules[name]}")
        node = getattr(module, name, None) or getattr(module, f"{name}Node")
        if name == "EasyCache":
            without_aliasing(module.EasyCacheHolder)
        model = node.execute(model, **inputs).args[0]
    return model


def run(name, case, steps):
    model = with_nodes(model_of(case), case.get("nodes", {}))
    parts, mask = cases.start(name, case)
    latent = parts[0] if len(parts) == 1 else comfy.nested_tensor.NestedTensor(parts)
    positive = cases.conditioning(name, case, side="positive")
    negative = cases.conditioning(name, case, side="negative") if case.get("negative") else positive
    noise = comfy.sample.prepare_noise(latent, cases.SEED)
    made = comfy.sample.sample(
        model,
        noise,
        steps,
        case.get("cfg", 1.0),
        case.get("sampler", "euler"),
        case.get("scheduler", "simple"),
        positive,
        negative,
        latent,
        seed=cases.SEED,
        noise_mask=mask,
        disable_pbar=True,
    )
    return made if len(parts) == 1 else comfy.utils.pack_latents(made.unbind())[0]


with torch.inference_mode():
    for name in NAMES:
        made = {f"{n} steps": run(name, cases.CASES[name], n).contiguous() for n in cases.STEPS}
        save_file(made, OUT / f"{name}.safetensors")
