"""HunyuanVideo 1.5's autoencoder, against ComfyUI's recorded results, and as the value on VAE links."""

from pathlib import Path

import pytest
import torch
from benchmarks.against_comfyui.family_cases import drawn, weight
from safetensors.torch import load_file, save_file

from safelight.models.autoencoder.film import Tiling
from safelight.models.autoencoder.hunyuan_video_module import (
    HunyuanVideoAutoencoder,
    HunyuanVideoAutoencoderShape,
    Level,
    hunyuan_video_autoencoder_shape,
)
from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.models.checkpoint import load_autoencoder

KNOWN = load_file(Path(__file__).parents[2] / "golden" / "hunyuan_video_autoencoder.safetensors")
"""Of ComfyUI 0.8.0, on the weights that :func:`weight` draws."""
SHAPE = HunyuanVideoAutoencoderShape(
    latent=32,
    image=3,
    encoder=(
        Level(16, 16, 2, next=32),
        Level(32, 32, 2, next=64),
        Level(64, 64, 2, next=128, in_time=True),
        Level(128, 128, 2, next=128, in_time=True),
        Level(128, 128, 2),
    ),
    decoder=(
        Level(128, 128, 3, next=128, in_time=True),
        Level(128, 128, 3, next=64, in_time=True),
        Level(64, 64, 3, next=32),
        Level(32, 32, 3, next=16),
        Level(16, 16, 3),
    ),
)


def weights() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        module = SHAPE.build()
    return {name: weight(name, list(tensor.shape)) for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def module() -> HunyuanVideoAutoencoder:
    made = SHAPE.build()
    made.load_state_dict(weights())
    return made.eval()


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 9, 17])
def test_encoding_equals_comfyui(frames: int, module: HunyuanVideoAutoencoder) -> None:
    made, known = module.encode(drawn(f"video {frames}", [1, 3, frames, 32, 32])), KNOWN[f"latent {frames}"]
    assert float((made - known).norm() / known.norm()) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_decoding_equals_comfyui(frames: int, module: HunyuanVideoAutoencoder) -> None:
    pieces = list(module.windows(drawn(f"latent {frames}", [1, 32, frames, 2, 2])))
    assert len(pieces) == module.window_count(frames)
    made, known = torch.cat(pieces, dim=2), KNOWN[f"video {frames}"]
    assert float((made - known).norm() / known.norm()) < 1e-5


def test_a_file_becomes_a_vae_of_videos(tmp_path: Path) -> None:
    own = weights()
    assert hunyuan_video_autoencoder_shape({name: tensor.shape for name, tensor in own.items()}) == SHAPE
    save_file(own, tmp_path / "v.safetensors")
    loaded = load_autoencoder(tmp_path / "v.safetensors")
    assert isinstance(loaded, VideoAutoencoder)
    assert (loaded.downscale, loaded.latent_channels) == (16, 32)
    assert loaded.encode(torch.rand(6, 40, 33, 3)).shape == (1, 32, 2, 2, 2)
    film = loaded.film(torch.randn(1, 32, 5, 2, 6), Tiling(4, 2))
    assert [len(piece) for piece in film.pieces()] == [5, 8, 4]
    assert film.whole().shape == (17, 32, 96, 3)
