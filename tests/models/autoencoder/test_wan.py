"""Wan 2.1's autoencoder against diffusers, and as the value on VAE links."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder
from safelight.models.autoencoder.wan_module import Part, WanAutoencoder, WanShape, wan_shape
from safelight.models.checkpoint import load_autoencoder
from safelight.models.families.qwen_image.miniature_files import autoencoder_shape
from safelight.models.miniatures.writing import random_weights
from safelight.models.weights import UnknownWeights


def whole_shape() -> WanShape:
    """The structure of the published files: two residual blocks per level, three in the decoder."""
    widths = (16, 32, 64, 64)
    down: list[Part] = []
    before = 16
    for level, width in enumerate(widths):
        down += [Part(before, width), Part(width, width)]
        before = width
        if level < 3:
            down.append(Part(width, width, resamples=True, in_time=level > 0))
    up: list[Part] = []
    before = 64
    for level, width in enumerate(reversed(widths)):
        up += [Part(before, width), Part(width, width), Part(width, width)]
        if level < 3:
            up.append(Part(width, width // 2, resamples=True, in_time=level < 2))
            before = width // 2
    return WanShape(16, 3, 16, 64, tuple(down), tuple(up), 16)


def weights_of(shape: WanShape) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        module = WanAutoencoder(shape)
    weights = random_weights(module)
    generator = torch.Generator().manual_seed(1)
    return {
        name: value if value.dim() > 4 else value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in weights.items()
    }


@torch.no_grad()
def test_equals_diffusers() -> None:
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    weights = weights_of(whole_shape())
    assert wan_shape({name: value.shape for name, value in weights.items()}) == whole_shape()
    ours = WanAutoencoder(whole_shape())
    ours.load_state_dict(weights)
    theirs = AutoencoderKLWan(base_dim=16, z_dim=16)
    theirs.load_state_dict(convert_wan_vae_to_diffusers(dict(weights)))
    for frames in (1, 9):
        video = torch.randn(1, 3, frames, 24, 32)
        mean = theirs.encode(video).latent_dist.mean
        torch.testing.assert_close(ours.encode(video), mean, rtol=1e-3, atol=1e-4)
        latent = torch.randn(1, 16, 1 + (frames - 1) // 4, 3, 4)
        decoded = theirs.decode(latent).sample
        torch.testing.assert_close(ours.decode(latent).clamp(-1, 1), decoded, rtol=1e-3, atol=1e-3)


def autoencoder_in(path: Path, *, image: int = 3) -> VideoAutoencoder:
    save_file(weights_of(autoencoder_shape(image)), path)
    loaded = load_autoencoder(path)
    assert isinstance(loaded, VideoAutoencoder)
    return loaded


def test_pictures_are_videos_of_one_frame(tmp_path: Path) -> None:
    autoencoder = autoencoder_in(tmp_path / "v.safetensors")
    image = torch.rand(1, 50, 67, 4)
    latent = autoencoder.encode(image)
    assert latent.shape == (1, 16, 1, 6, 8)
    assert torch.equal(latent, autoencoder.encode(image[:, 1:49, 1:65, :3]))
    decoded = autoencoder.decode(torch.cat((latent, latent * 0)))
    assert decoded.shape == (2, 48, 64, 3)
    torch.testing.assert_close(autoencoder.decode(latent[:, :, 0]), decoded[:1])
    assert autoencoder.encode(torch.rand(10, 16, 16, 3)).shape == (1, 16, 3, 2, 2)
    assert autoencoder.decode(torch.zeros(1, 16, 3, 2, 2)).shape == (9, 16, 16, 3)


def test_pictures_with_transparency_keep_it_and_others_are_opaque(tmp_path: Path) -> None:
    autoencoder = autoencoder_in(tmp_path / "v.safetensors", image=4)
    image = torch.rand(1, 16, 16, 3)
    opaque = torch.cat((image, torch.ones(1, 16, 16, 1)), dim=-1)
    assert torch.equal(autoencoder.encode(image), autoencoder.encode(opaque))
    assert autoencoder.decode(torch.zeros(1, 16, 1, 2, 2)).shape == (1, 16, 16, 4)


def test_tiles_equal_the_whole_away_from_seams(tmp_path: Path) -> None:
    autoencoder = autoencoder_in(tmp_path / "v.safetensors")
    latent = torch.randn(1, 16, 2, 8, 20)
    whole, tiled = autoencoder.decode(latent), autoencoder.decode_tiled(latent, tile=16, overlap=8)
    assert tiled.shape == whole.shape
    assert (autoencoder.decode_tiled(latent, tile=32, overlap=8) - whole).abs().max() < 1e-6
    image = torch.rand(1, 64, 64, 3)
    assert autoencoder.encode_tiled(image, tile=48, overlap=16).shape == autoencoder.encode(image).shape


def test_other_autoencoders_of_videos_are_refused(tmp_path: Path) -> None:
    save_file({"decoder.middle.0.residual.0.gamma": torch.ones(4)}, tmp_path / "w.safetensors")
    with pytest.raises(UnknownWeights, match=r"'w.safetensors' contains no supported autoencoder: .* missing"):
        load_autoencoder(tmp_path / "w.safetensors")
