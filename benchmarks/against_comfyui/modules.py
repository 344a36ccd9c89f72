"""Parts of models with small random weights, compared with a real ComfyUI: autoencoders, vocoders, connectors.

``python -m benchmarks.against_comfyui.modules --comfyui FOLDER --python INTERPRETER`` runs every case in ComfyUI
(``comfyui_modules.py``) and here, prints the relative L2 distance of each output, and exits with an error if one is too
large. ``--write`` writes ComfyUI's outputs to ``tests/golden/modules``, with which the tests compare.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.against_comfyui import module_cases as cases
from safetensors.torch import load_file
from torch import nn

from safelight.models.autoencoder.ltx_module import LtxAutoencoderShape, LtxPart, LtxVideoAutoencoder
from safelight.models.autoencoder.oobleck_module import Oobleck, OobleckShape
from safelight.models.autoencoder.spectrogram_module import SpectrogramAutoencoder, SpectrogramShape
from safelight.models.autoencoder.vocoder_module import Vocoder, VocoderShape
from safelight.models.families.ltx.text import Connector, ConnectorShape
from safelight.models.upscale.latent_upsampler import LatentUpsamplerModule, LatentUpsamplerShape

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "modules"
LIMIT = 1e-5

Outputs = dict[str, torch.Tensor]


def filled(module: nn.Module, spelled: Callable[[str], str] = lambda name: name) -> nn.Module:
    """With weights that depend on their names, as ``spelled`` in ComfyUI."""
    state = {name: cases.weight(spelled(name), list(value.shape)) for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def _residuals(channels: int, *, noise: bool = False) -> LtxPart:
    return LtxPart("residuals", channels, channels, layers=1, adds_noise=noise)


def _unfolded(channels: int, out: int) -> LtxPart:
    return LtxPart("unfolded", channels, out, stride=(2, 2, 2), adds_input=channels != out)


def _strided(channels: int) -> LtxPart:
    return LtxPart("strided", channels, channels, stride=(2, 2, 2))


_OLD_ENCODER = (
    _residuals(128),
    _strided(128),
    LtxPart("widen", 128, 256),
    _residuals(256),
    _strided(256),
    LtxPart("widen", 256, 512),
    _residuals(512),
    _strided(512),
    _residuals(512),
    _residuals(512),
)
_TIMED_DECODER = tuple(
    part
    for width, noise in ((1024, False), (512, True), (256, True), (128, True))
    for part in (_residuals(width, noise=noise), *([_unfolded(width, width // 2)] if width > 128 else []))
)
LTX_AUTOENCODERS = {
    "0.9": LtxAutoencoderShape(
        latent=128,
        encoded=129,
        patch=4,
        encoder=_OLD_ENCODER,
        decoder=(
            _residuals(512),
            _residuals(512),
            _unfolded(512, 512),
            _residuals(512),
            LtxPart("widen", 512, 256),
            _unfolded(256, 256),
            _residuals(256),
            LtxPart("widen", 256, 128),
            _unfolded(128, 128),
            _residuals(128),
        ),
        is_timed=False,
    ),
    "0.9.1": LtxAutoencoderShape(
        latent=128, encoded=129, patch=4, encoder=_OLD_ENCODER, decoder=_TIMED_DECODER, is_timed=True
    ),
    "0.9.5": LtxAutoencoderShape(
        latent=128,
        encoded=129,
        patch=4,
        encoder=(
            _residuals(128),
            LtxPart("folded", 128, 256, stride=(1, 2, 2)),
            _residuals(256),
            LtxPart("folded", 256, 512, stride=(2, 1, 1)),
            _residuals(512),
            LtxPart("folded", 512, 1024, stride=(2, 2, 2)),
            _residuals(1024),
            LtxPart("folded", 1024, 2048, stride=(2, 2, 2)),
            _residuals(2048),
        ),
        decoder=tuple(replace(part, adds_noise=False) for part in _TIMED_DECODER),
        is_timed=True,
    ),
}


def _ltx_autoencoder(version: str) -> Outputs:
    module = filled(LtxVideoAutoencoder(LTX_AUTOENCODERS[version]))
    assert isinstance(module, LtxVideoAutoencoder)
    latent = cases.drawn("latent", [1, 128, 2, 2, 3])
    frames = cases.drawn("frames", [1, 3, 9, 32, 64]).clamp(-1, 1)
    decoded = module.decode(latent, torch.Generator().manual_seed(cases.SEED))
    return {"decoded": decoded[..., ::8, ::8], "encoded": module.encode(frames)}


def _oobleck() -> Outputs:
    shape = OobleckShape(channels=2, latent=64, widths=(8, 8, 16, 32, 64, 128), strides=(2, 4, 4, 8, 8))

    def spelled(name: str) -> str:
        return name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        )

    module = filled(Oobleck(shape), spelled)
    assert isinstance(module, Oobleck)
    latent, waveform = cases.drawn("latent", [2, 64, 3]), cases.drawn("waveform", [1, 2, 2048 * 3])
    return {"decoded": module.decode(latent), "encoded": module.encode(waveform)}


def _ltx2_audio() -> Outputs:
    autoencoder = filled(
        SpectrogramAutoencoder(SpectrogramShape(sides=2, latent=8, channels=(16, 32, 64), blocks=1), bands=16)
    )
    vocoder = filled(
        Vocoder(VocoderShape(128, 64, 2, levels=((16, 6), (15, 5), (8, 2), (4, 2), (4, 2)), kernels=(3, 7, 11)))
    )
    assert isinstance(autoencoder, SpectrogramAutoencoder)
    decoded = autoencoder.decode(cases.drawn("latent", [2, 8, 3, 16]))
    encoded = autoencoder.encode(cases.drawn("mel", [1, 2, 9, 64]))
    return {"decoded": decoded, "waveform": vocoder(decoded), "encoded": encoded}


def _ltx2_connector() -> Outputs:
    module = filled(
        Connector(ConnectorShape(width=256, feed_forward=1024, layers=2, heads=2, learned=128, is_gated=False))
    )
    return {"features": module(cases.drawn("text", [1, 7, 256]))[:, ::16]}


def _latent_upsampler(**changes: Any) -> Outputs:
    module = filled(LatentUpsamplerModule(LatentUpsamplerShape(channels=128, width=32, blocks=1, **changes)))
    return {"enlarged": module(cases.drawn("latent", [1, 128, 2, 3, 4]))}


CASES: dict[str, Callable[[], Outputs]] = {
    "ltx autoencoder 0.9": lambda: _ltx_autoencoder("0.9"),
    "ltx autoencoder 0.9.1": lambda: _ltx_autoencoder("0.9.1"),
    "ltx autoencoder 0.9.5": lambda: _ltx_autoencoder("0.9.5"),
    "oobleck autoencoder": _oobleck,
    "ltx-2 audio autoencoder and vocoder": _ltx2_audio,
    "ltx-2 connector": _ltx2_connector,
    "latent upsampler in space": _latent_upsampler,
    "latent upsampler by 1.5": lambda: _latent_upsampler(is_rational=True, scale=1.5),
    "latent upsampler in time": lambda: _latent_upsampler(in_space=False, in_time=True),
    "latent upsampler in both": lambda: _latent_upsampler(in_time=True),
}


def golden_file(name: str) -> Path:
    """Where ComfyUI's outputs of a case are recorded."""
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
    names = [name for name in CASES if arguments.only in name]
    with tempfile.TemporaryDirectory() as out, torch.inference_mode():
        script = Path(__file__).with_name("comfyui_modules.py")
        subprocess.run([arguments.python, script, arguments.comfyui, out, *names], check=True)
        for name in names:
            recorded = Path(out) / f"{name}.safetensors"
            theirs, ours = load_file(recorded), CASES[name]()
            for key, value in theirs.items():
                error = distance(ours[key], value)
                failed += not error <= LIMIT
                print(f"{f'{name}, {key}':<60} {error:10.2e}{'' if error <= LIMIT else '   too large'}", flush=True)
            if arguments.write:
                GOLDEN.mkdir(exist_ok=True)
                shutil.copyfile(recorded, golden_file(name))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
