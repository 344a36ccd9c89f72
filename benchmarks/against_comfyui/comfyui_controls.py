"""Runs the cases of ``control_cases.py`` in a ComfyUI. Started by ``controls.py``, with ComfyUI's interpreter:
``python comfyui_controls.py COMFYUI WEIGHTS OUT CASE ...``; reads the weights of the networks and of the controls,
writes latents to ``OUT``.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
COMFYUI, WEIGHTS, OUT = (Path(argument) for argument in sys.argv[1:4])
NAMES = sys.argv[4:]
sys.argv = [sys.argv[0], str(COMFYUI), str(WEIGHTS), str(OUT)]
sys.path[:0] = [str(COMFYUI), str(HERE)]

# isort: off
import comfyui_families as families  # noqa: E402
import comfy.controlnet  # noqa: E402
import comfy.ldm.lumina.controlnet  # noqa: E402
import comfy.ops  # noqa: E402
import comfy.sample  # noqa: E402
import control_cases as controls  # noqa: E402
import family_cases as cases  # noqa: E402
import nodes  # noqa: E402
import torch  # noqa: E402
from comfy_extras import nodes_controlnet, nodes_model_patch as patches  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
# isort: on

CPU = torch.device("cpu")
OPERATIONS = comfy.ops.manual_cast


detected = comfy.controlnet.controlnet_config


def small(settings):
    """ComfyUI takes numbers of heads and the like from the published networks; these are those of the case."""

    def config(*given, **options):
        found = detected(*given, **options)
        found[0].unet_config.update(settings)
        return found

    comfy.controlnet.controlnet_config = config


def patched(module, state):
    module.load_state_dict(state)
    return comfy.model_patcher.ModelPatcher(module.float(), load_device=CPU, offload_device=CPU)


def with_control(name, state, positive, image, vae, mask):
    network = comfy.controlnet.load_controlnet_state_dict(state)
    network.control_model.float()
    if mask is None:
        node = nodes.ControlNetApplyAdvanced()
        return node.apply_controlnet(positive, positive, network, image, controls.STRENGTH, 0.0, 1.0, vae=vae)[0]
    node = nodes_controlnet.ControlNetInpaintingAliMamaApply
    return node.execute(positive, positive, network, vae, image, mask, controls.STRENGTH, 0.0, 1.0).args[0]


def with_style(name, state, model):
    state = {key.removeprefix("feature_embedder."): value for key, value in state.items()}
    module = patches.SigLIPMultiFeatProjModel(hidden_size=256, device=CPU, dtype=torch.float32, operations=OPERATIONS)
    layers = controls.vision_layers(name)
    vision = SimpleNamespace(all_hidden_states=layers, penultimate_hidden_states=layers[:, -2])
    return patches.USOStyleReference().apply_patch(model, patched(module, state), vision)[0]


def with_patch(name, state, model, image, vae, mask):
    around = None
    if "diffsynth" in name:
        more = state["img_in.weight"].shape[1] - 64
        module = patches.QwenImageBlockWiseControlNet(2, 64, more, 256, CPU, torch.float32, OPERATIONS)
    else:
        second = "control 2" in name
        options = {"n_control_layers": 15, "additional_in_dim": 17, "refiner_control": True} if second else {}
        around = controls.image(f"{name} around") if second else None
        module = comfy.ldm.lumina.controlnet.ZImage_Control(
            dim=256,
            n_heads=2,
            n_kv_heads=2,
            ffn_dim_multiplier=2.0,
            dtype=torch.float32,
            device=CPU,
            operations=OPERATIONS,
            **options,
        )
        state = patches.z_image_convert(state)
    node = patches.ZImageFunControlnet()
    return node.diffsynth_controlnet(
        model, patched(module, state), vae, image=image, strength=controls.STRENGTH, inpaint_image=around, mask=mask
    )[0]


def run(name, case, steps):
    base = {**cases.CASES[case["of"]], "latent": case["latent"]}
    latent = torch.zeros(base["latent"])
    model, positive = families.model_of(base), cases.conditioning(name, base, side="positive")
    state = load_file(WEIGHTS / f"{name}.safetensors")
    small(base["config"])
    image, vae = controls.image(name), controls.Autoencoder(is_video="qwen" in name)
    mask = controls.mask(name) if case.get("mask") else None
    if "instantx" in name or "stability" in name:
        positive = with_control(name, state, positive, image, vae, mask)
    elif "uso" in name:
        model = with_style(name, state, model)
    else:
        model = with_patch(name, state, model, image, vae, mask)
    noise = comfy.sample.prepare_noise(latent, cases.SEED)
    sampler, scheduler = base.get("sampler", "euler"), base.get("scheduler", "simple")
    return comfy.sample.sample(
        model, noise, steps, 1.0, sampler, scheduler, positive, positive, latent, seed=cases.SEED, disable_pbar=True
    )


with torch.inference_mode():
    for name in NAMES:
        made = {
            f"{steps} steps": run(name, controls.CASES[name], steps).contiguous()
            for steps in controls.CASES[name].get("steps", cases.STEPS)
        }
        save_file(made, OUT / f"{name}.safetensors")
