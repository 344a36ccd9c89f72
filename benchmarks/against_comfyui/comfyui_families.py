"""Runs the cases of ``family_cases.py`` in a ComfyUI. Started by ``families.py``, with ComfyUI's interpreter:
``python comfyui_families.py COMFYUI WEIGHTS OUT CASE...``; reads ``WEIGHTS/FAMILY.safetensors``, writes the latents of
each case to ``OUT/CASE.safetensors``.
"""

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


def model_of(case):
    state = load_file(WEIGHTS / f"{case['family']}.safetensors")
    settings = comfy.model_detection.detect_unet_config(state, "")
    settings.update(case["config"] | METADATA.get(case["family"], {}))
    config = getattr(comfy.supported_models, case["supported"])(settings)
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(state, "")
    model.load_model_weights(state, "")
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def run(name, case, steps):
    model = model_of(case)
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
