"""Networks of the model families with small random weights, compared with a real ComfyUI: one step and four.

``python -m benchmarks.against_comfyui.families --comfyui FOLDER --python INTERPRETER`` runs every case of
``family_cases.py`` in ComfyUI (``INTERPRETER`` has ComfyUI's requirements installed) and in Safelight, prints the
relative L2 distance of each, and exits with an error if one is too large. ``--only WORD`` runs the cases with that word
in their name. ``--write`` writes ComfyUI's latents to ``tests/golden/families``, a file for each case, with which the
tests compare.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmarks.against_comfyui import family_cases as cases
from benchmarks.against_comfyui.ltx_architectures import LTX_ARCHITECTURES
from benchmarks.against_comfyui.ltx_cases import METADATA
from safetensors.torch import load_file, save_file

from safelight.models.checkpoint import load_diffusion_model
from safelight.models.families.anima.network import AnimaArchitecture, AnimaShape
from safelight.models.families.anima.text_adapter import AdapterShape
from safelight.models.families.chroma.chroma_module import ChromaArchitecture, ChromaShape
from safelight.models.families.flux.flux_module import FluxArchitecture, FluxShape
from safelight.models.families.flux2.flux2_module import Flux2Architecture, Flux2Shape
from safelight.models.families.hidream.experts import ExpertsShape
from safelight.models.families.hidream.hidream_module import HiDreamArchitecture, HiDreamShape
from safelight.models.families.hunyuan_video.network import HunyuanVideoArchitecture, HunyuanVideoShape
from safelight.models.families.lumina.network import NextDiTArchitecture, NextDiTShape
from safelight.models.families.qwen_image.network import QwenImageArchitecture, QwenImageShape
from safelight.models.families.sd3.mmdit_module import MMDiTArchitecture, MMDiTShape
from safelight.models.families.wan.network import WanArchitecture, WanShape
from safelight.models.nested import NestedTensor, Packing
from safelight.models.sampling.guidance import CfgGuider
from safelight.models.sampling.sample import fitting, sample
from safelight.models.sampling.schedules import schedule
from safelight.models.stored_network import Architecture
from safelight.models.transformer.streams import StreamShape
from safelight.nodes.model.caching import EasyCache, LazyCache
from safelight.nodes.model.guidance import RenormCFG
from safelight.nodes.model.guidance_direction import TemporalScoreRescaling
from safelight.nodes.sampling.noise import SeededNoise
from safelight.nodes.sampling.sample import sampler_named

NODES: dict[str, Any] = {
    "EasyCache": EasyCache,
    "LazyCache": LazyCache,
    "RenormCFG": RenormCFG,
    "TemporalScoreRescaling": TemporalScoreRescaling,
}
"""Nodes that change the model of a case."""

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "families"
LIMITS = {1: 1e-5, 4: 1e-4}
"""Of the relative L2 distance, by the number of steps."""

_FLUX = partial(
    FluxShape,
    StreamShape(width=256, heads=2, inner=1024),
    out_channels=16,
    context=4096,
    pooled=768,
    double_blocks=2,
    single_blocks=2,
)

_GATED = StreamShape(width=256, heads=2, inner=768, is_gated=True, qkv_bias=False, bias=False, modulates=False)
_UNMODULATED = StreamShape(width=256, heads=2, inner=1024, modulates=False)

_MMDIT = partial(
    MMDiTShape,
    width=128,
    channels=16,
    out_channels=16,
    patch=2,
    context=4096,
    pooled=2048,
    inner=512,
    grid=6,
    blocks=2,
)

_Z_IMAGE = NextDiTShape(
    channels=16,
    width=256,
    text_width=96,
    layers=2,
    refiners=1,
    heads=2,
    key_heads=2,
    feed_forward=512,
    time_hidden=256,
    time_width=256,
    is_z_image=True,
    is_filled=True,
)

_QWEN_IMAGE = QwenImageShape(
    channels=16,
    out_channels=16,
    width=256,
    text_width=96,
    feed_forward=1024,
    heads=2,
    layers=2,
    has_layer_table=False,
    references="index",
)

_HUNYUAN_VIDEO = HunyuanVideoShape(
    StreamShape(width=256, heads=2, inner=1024),
    channels=65,
    out_channels=32,
    text=96,
    glyphs=1472,
    glyph_inner=2048,
    picture=1152,
    double_blocks=2,
    single_blocks=0,
    has_guidance=False,
)

_WAN = partial(WanShape, channels=16, out_channels=16, width=256, feed_forward=512, layers=2, text_width=96)

ARCHITECTURES: dict[str, Architecture] = {
    "flux": FluxArchitecture(_FLUX(channels=16, has_guidance=True)),
    "flux schnell": FluxArchitecture(_FLUX(channels=16, has_guidance=False)),
    "flux fill": FluxArchitecture(_FLUX(channels=96, has_guidance=True)),
    "flux2": Flux2Architecture(Flux2Shape(_GATED, 128, 192, double_blocks=2, single_blocks=2, has_guidance=True)),
    "chroma": ChromaArchitecture(
        ChromaShape(_UNMODULATED, 16, 4096, 2, 2, approximator_width=128, approximator_layers=5)
    ),
    "sd35 large": MMDiTArchitecture(_MMDIT(norms_heads=True)),
    "sd35 medium": MMDiTArchitecture(_MMDIT(norms_heads=True, second_attention=frozenset({0}))),
    "sd3 medium": MMDiTArchitecture(_MMDIT(norms_heads=False)),
    "z-image": NextDiTArchitecture(_Z_IMAGE),
    "z-image, two refiners": NextDiTArchitecture(replace(_Z_IMAGE, refiners=2)),
    "anima": AnimaArchitecture(AnimaShape(16, 256, 96, 2, 1024, 256, 2, AdapterShape(50, 96, 96, 96, 2, 192, 1))),
    "qwen-image": QwenImageArchitecture(_QWEN_IMAGE),
    "qwen-image 2511": QwenImageArchitecture(replace(_QWEN_IMAGE, references="index_timestep_zero")),
    "qwen-image layered": QwenImageArchitecture(
        replace(_QWEN_IMAGE, has_layer_table=True, references="negative_index")
    ),
    "lumina 2": NextDiTArchitecture(
        replace(
            _Z_IMAGE,
            width=192,
            text_width=80,
            key_heads=1,
            feed_forward=768,
            time_hidden=192,
            time_width=192,
            is_z_image=False,
            is_filled=False,
        )
    ),
    "hidream": HiDreamArchitecture(
        HiDreamShape(
            ExpertsShape(256, count=4, inner=768, shared=512),
            channels=16,
            pooled=2048,
            context=4096,
            language=4096,
            text_inner=768,
            double_blocks=2,
            single_blocks=2,
        )
    ),
    "hunyuan video 1.5": HunyuanVideoArchitecture(_HUNYUAN_VIDEO),
    "hunyuan video 1.5 with guidance": HunyuanVideoArchitecture(replace(_HUNYUAN_VIDEO, has_guidance=True)),
    "wan t2v": WanArchitecture(_WAN()),
    "wan i2v": WanArchitecture(_WAN(channels=36, picture=1280)),
    "wan flf2v": WanArchitecture(_WAN(channels=36, picture=1280, pictures=514)),
    "wan22 i2v": WanArchitecture(_WAN(channels=36)),
    "wan fun control": WanArchitecture(_WAN(channels=48, picture=1280)),
    "wan22 fun control": WanArchitecture(_WAN(channels=52, reference=16)),
    "wan vace": WanArchitecture(_WAN(layers=4, vace_layers=2, vace_channels=96)),
    "wan camera": WanArchitecture(_WAN(channels=32, picture=1280, camera=24)),
    "wan22 camera": WanArchitecture(_WAN(channels=36, camera=24)),
    "wan22 5b": WanArchitecture(_WAN(channels=48, out_channels=48)),
    **LTX_ARCHITECTURES,
}


def write_weights(family: str, folder: Path) -> Path:
    """Write the file of a family, with weights that depend only on their names and shapes."""
    path = folder / f"{family}.safetensors"
    if not path.exists():
        with torch.device("meta"):
            module = ARCHITECTURES[family].build()
        made = {name: cases.weight(name, list(t.shape)) for name, t in module.state_dict().items()}
        save_file(made, path, metadata={"config": json.dumps({"transformer": METADATA.get(family, {})})})
    return path


def run(name: str, steps: int, folder: Path) -> torch.Tensor:
    """The latent of a case after some steps; ``folder`` keeps the weights."""
    case = cases.CASES[name]
    model = load_diffusion_model(write_weights(case["family"], folder))
    for node, inputs in case.get("nodes", {}).items():
        (model,) = NODES[node].execute(model, **inputs).args
    positive = cases.conditioning(name, case, side="positive")
    negative = cases.conditioning(name, case, side="negative") if case.get("negative") else positive
    parts, mask = cases.start(name, case)
    latent = fitting(parts[0] if len(parts) == 1 else NestedTensor(parts), model.latent_format)
    noise: Any = SeededNoise(cases.SEED).generate_noise({"samples": latent})
    made = sample(
        CfgGuider(model, positive, negative, case.get("cfg", 1.0)),
        sampler_named(case.get("sampler", "euler")),
        schedule(model.parameterization.levels, case.get("scheduler", "simple"), steps, keep_surplus=True),
        latent=latent,
        noise=noise,
        seed=cases.SEED,
        noise_mask=mask,
        on_step=lambda *of_step: None,
    ).samples
    return Packing.of(made).pack(made) if isinstance(made, NestedTensor) else made


def golden_file(name: str) -> Path:
    """Where ComfyUI's latents of a case are recorded: a tensor for each number of steps (``"4 steps"``)."""
    return GOLDEN / f"{re.sub('[^a-z0-9.]+', '-', name)}.safetensors"


def distance(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    names = [name for name in cases.CASES if arguments.only in name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in names:
            write_weights(cases.CASES[name]["family"], folder)
        script, out = Path(__file__).with_name("comfyui_families.py"), folder / "latents"
        out.mkdir()
        subprocess.run([arguments.python, script, arguments.comfyui, folder, out, *names], check=True)
        for name in names:
            latents = out / f"{name}.safetensors"
            for steps, theirs in sorted(load_file(latents).items()):
                limit = LIMITS[int(steps.split()[0])]
                error = distance(run(name, int(steps.split()[0]), folder), theirs)
                failed += not error <= limit
                print(f"{f'{name}, {steps}':<60} {error:10.2e}{'' if error <= limit else '   too large'}", flush=True)
            if arguments.write:
                shutil.copyfile(latents, golden_file(name))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
