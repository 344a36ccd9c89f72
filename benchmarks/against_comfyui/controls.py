"""ControlNets and model patches of transformers with small random weights, compared with a real ComfyUI.

``python -m benchmarks.against_comfyui.controls --comfyui FOLDER --python INTERPRETER`` runs every case of
``control_cases.py`` in both and prints the relative L2 distance of the latents. ``--write`` keeps ComfyUI's in
``tests/golden/controls``, with which the tests compare.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.against_comfyui import control_cases as controls
from benchmarks.against_comfyui import family_cases as cases
from benchmarks.against_comfyui.families import LIMITS, distance, write_weights
from safetensors.torch import load_file, save_file
from torch import nn

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.control.control_network import load_control_network
from safelight.models.control.model_patch import load_model_patch
from safelight.models.families.flux.model_patch import Projector, ProjectorShape
from safelight.models.families.lumina.model_patch import IN_FILES, ZImageControl
from safelight.models.families.lumina.network import NextDiTShape
from safelight.models.families.qwen_image.control import QwenImageControl
from safelight.models.families.qwen_image.model_patch import QwenImageBlockControl
from safelight.models.families.qwen_image.network import QwenImageShape
from safelight.models.families.sd3.control import SD3Control
from safelight.models.families.sd3.mmdit_module import MMDiTShape
from safelight.models.sampling.guidance import PositiveGuider
from safelight.models.sampling.sample import fitting, sample
from safelight.models.sampling.schedules import schedule
from safelight.models.vision.vision_encoder import VisionOutput
from safelight.models.weights import Weights
from safelight.nodes.conditioning.controlnet import ControlNetApplyAdvanced, ControlNetInpaintingAliMamaApply
from safelight.nodes.model.model_patch import QwenImageDiffsynthControlnet, USOStyleReference, ZImageFunControlnet
from safelight.nodes.sampling.noise import SeededNoise
from safelight.nodes.sampling.sample import sampler_named

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "controls"
_NONE = Weights({})
_QWEN = QwenImageShape(16, 16, 256, 96, 1024, 2, 1, has_layer_table=False, references="index")
_SD35 = MMDiTShape(128, 16, 0, 2, 0, 2048, 512, 0, 1, norms_heads=False)


def _z_image(channels: int, layers: int, *, refines: bool) -> nn.Module:
    shape = NextDiTShape(channels, 256, 0, layers, 2, 2, 2, 512, 0, 256, is_z_image=True, is_filled=False)
    return ZImageControl(_NONE, shape, refines=refines, is_untrained=False).build()


MODULES: dict[str, Callable[[], nn.Module]] = {
    "qwen-image, instantx": lambda: QwenImageControl(_QWEN, 16),
    "qwen-image, instantx inpainting": lambda: QwenImageControl(_QWEN, 17),
    "qwen-image, diffsynth": lambda: QwenImageBlockControl(_NONE, 256, 16, 2).build(),
    "qwen-image, diffsynth inpainting": lambda: QwenImageBlockControl(_NONE, 256, 17, 2).build(),
    "z-image, fun control": lambda: _z_image(16, 6, refines=False),
    "z-image, fun control 2": lambda: _z_image(33, 15, refines=True),
    "flux dev, uso": lambda: Projector(ProjectorShape(729, 1152, 64, 256)),
    "sd3.5 large, stability": lambda: SD3Control(_SD35),
}


def write_control(name: str, folder: Path) -> Path:
    """Write the file of a control, with weights that depend only on their names and shapes."""
    path = folder / f"{name}.safetensors"
    if path.exists():
        return path
    with torch.device("meta"):
        module = MODULES[name]()
    tensors = {}
    for own, value in module.state_dict().items():
        key = f"feature_embedder.{own}" if "uso" in name else own
        for ours, theirs in IN_FILES.items() if name.startswith("z-image") else ():
            key = key.replace(ours, theirs)
        if not own.startswith("orig_"):  # those are the main network's
            tensors[key] = cases.weight(key, list(value.shape))
    if "stability" in name:
        tensors["control_type"] = torch.tensor([2.0])
    save_file(tensors, path)
    return path


def run(name: str, steps: int, folder: Path) -> torch.Tensor:
    """The latent of a case after some steps; ``folder`` keeps the weights."""
    case = controls.CASES[name]
    base = {**cases.CASES[case["of"]], "latent": case["latent"]}
    model = load_diffusion_model(write_weights(base["family"], folder))
    positive: Any = cases.conditioning(name, base, side="positive")
    mask = controls.mask(name) if case.get("mask") else None
    path = write_control(name, folder)
    if "instantx" in name or "stability" in name:
        positive = _with_control(name, path, positive, mask)
    else:
        model = _with_patch(name, path, model, mask)
    latent = fitting(torch.zeros(base["latent"]), model.latent_format)
    noise: Any = SeededNoise(cases.SEED).generate_noise({"samples": latent})
    made = sample(
        PositiveGuider(model, positive),
        sampler_named(base.get("sampler", "euler")),
        schedule(model.parameterization.levels, base.get("scheduler", "simple"), steps, keep_surplus=True),
        latent=latent,
        noise=noise,
        seed=cases.SEED,
        on_step=lambda *of_step: None,
    )
    return made.samples


def _with_control(name: str, path: Path, positive: Any, mask: torch.Tensor | None) -> Any:
    network, image, vae = load_control_network(path), controls.image(name), _autoencoder(name)
    strength = controls.STRENGTH
    if mask is None:
        return ControlNetApplyAdvanced.execute(positive, positive, network, image, strength, 0.0, 1.0, vae).args[0]
    node = ControlNetInpaintingAliMamaApply
    return node.execute(positive, positive, network, vae, image, mask, strength, 0.0, 1.0).args[0]


def _with_patch(name: str, path: Path, model: Any, mask: torch.Tensor | None) -> Any:
    patch: Any = load_model_patch(path)
    image, vae, strength = controls.image(name), _autoencoder(name), controls.STRENGTH
    if "uso" in name:
        vision = VisionOutput(all_hidden_states=controls.vision_layers(name))
        return USOStyleReference.execute(model, patch, vision).args[0]
    if "diffsynth" in name:
        return QwenImageDiffsynthControlnet.execute(model, patch, vae, image, strength, mask).args[0]
    around = controls.image(f"{name} around") if "control 2" in name else None
    return ZImageFunControlnet.execute(model, patch, vae, strength, image, around, mask).args[0]


def _autoencoder(name: str) -> controls.Autoencoder:
    return controls.Autoencoder(is_video="qwen" in name)


def golden_file(name: str) -> Path:
    """Where ComfyUI's latents of a case are recorded."""
    return GOLDEN / f"{name.replace(', ', '-').replace(' ', '-')}.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    names = [name for name in controls.CASES if arguments.only in name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in names:
            write_weights(cases.CASES[controls.CASES[name]["of"]]["family"], folder)
            write_control(name, folder)
        script, out = Path(__file__).with_name("comfyui_controls.py"), folder / "latents"
        out.mkdir()
        subprocess.run([arguments.python, script, arguments.comfyui, folder, out, *names], check=True)
        for name in names:
            latents = load_file(out / f"{name}.safetensors")
            for steps, theirs in sorted(latents.items()):
                count = int(steps.split()[0])
                with torch.inference_mode():
                    error = distance(run(name, count, folder), theirs)
                failed += not error <= LIMITS[count]
                print(f"{error:9.2e}  {name}, {steps}", flush=True)
            if arguments.write:
                GOLDEN.mkdir(exist_ok=True)
                save_file(latents, golden_file(name))
    sys.exit(f"{failed} are too far" if failed else 0)


if __name__ == "__main__":
    main()
