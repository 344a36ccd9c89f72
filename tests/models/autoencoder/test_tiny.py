"""Tiny autoencoders against diffusers', by file name, as VAE and for previews."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.nodes.context import FolderContext

from safelight.models.autoencoder.tiny import TinyAutoencoder, TinyShape
from safelight.models.checkpoint import TINY_AUTOENCODERS, load_autoencoder, load_tiny_autoencoder
from safelight.models.latent_format import LatentFormat
from safelight.models.weights import UnknownWeights
from safelight.nodes.loaders.checkpoint import VAELoader
from safelight.nodes.sampling.sample import previewer
from safelight.services.model import TINY_AUTOENCODERS as SERVER_NAMES
from safelight.services.model import ModelFiles

SHAPE = TinyShape(4, 0.18215)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: value.detach().clone() for name, value in TinyAutoencoder(SHAPE).state_dict().items()}


@pytest.fixture
def folder(state: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    place = tmp_path / "models" / "vae_approx"
    place.mkdir(parents=True)
    for half in ("encoder", "decoder"):
        own = {name.removeprefix(f"{half}."): value for name, value in state.items() if name.startswith(half)}
        save_file(own, place / f"taesd_{half}.safetensors")
    return place


def theirs(state: dict[str, torch.Tensor]) -> Any:
    from diffusers import AutoencoderTiny

    model = AutoencoderTiny()
    renamed = {}
    for name, value in state.items():
        half, index, rest = name.split(".", 2)
        renamed[f"{half}.layers.{int(index) - (half == 'decoder')}.{rest}"] = value
    model.load_state_dict(renamed)
    return model.eval()


@torch.no_grad()
def test_equals_diffusers(state: dict[str, torch.Tensor], folder: Path) -> None:
    ours = load_tiny_autoencoder(
        "taesd", decoder=folder / "taesd_decoder.safetensors", encoder=folder / "taesd_encoder.safetensors"
    )
    other = theirs(state)
    latent = 5 * torch.randn(2, 4, 6, 9)
    picture = other.decode(latent * 0.18215).sample.movedim(1, -1)
    torch.testing.assert_close(ours.decode(latent), ((picture + 1) / 2).clamp(0, 1), rtol=1e-4, atol=1e-5)
    image = torch.rand(1, 40, 24, 3)
    encoded = other.encode(image.movedim(-1, 1) * 2 - 1).latents / 0.18215
    torch.testing.assert_close(ours.encode(image), encoded, rtol=1e-4, atol=1e-4)


def test_the_loader_takes_them_by_name(state: dict[str, torch.Tensor], folder: Path, tmp_path: Path) -> None:
    with FolderContext(tmp_path).running():
        assert VAELoader.fingerprint_inputs("taesd")[0] == "taesd"
        (vae,) = VAELoader.execute("taesd").values
        assert vae.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 16, 16, 3)
        with pytest.raises(FileNotFoundError):
            VAELoader.execute("taesdxl")
    save_file({f"taesd_{name}": value for name, value in state.items()}, tmp_path / "one.safetensors")
    latent = torch.randn(1, 4, 3, 3)
    assert torch.equal(load_autoencoder(tmp_path / "one.safetensors").decode(latent), vae.decode(latent))


def test_names_are_offered_when_both_halves_are_there(folder: Path) -> None:
    assert tuple(TINY_AUTOENCODERS) == SERVER_NAMES
    index = ModelFiles([folder.parent])
    index.refresh()
    assert (index.choices("vae"), index.names("vae")) == (["taesd"], [])
    (folder / "taesd_encoder.safetensors").unlink()
    index.refresh()
    assert index.choices("vae") == []


def test_previews_by_the_tiny_decoder(folder: Path, tmp_path: Path) -> None:
    latents = LatentFormat(scale=0.18215, rgb_factors=((1.0, 0.0, 0.0),) * 4, taesd="taesd")
    denoised = torch.randn(2, 4, 6, 5)
    with FolderContext(tmp_path).running() as run:
        run.wanted_preview = "taesd"
        (folder / "taesd_encoder.safetensors").unlink()
        fine = previewer(latents)(denoised)
        assert fine is not None
        assert fine.size == (40, 48)
        run.wanted_preview = "latent2rgb"
        rough = previewer(latents)(denoised)
        assert rough is not None
        assert rough.size == (5, 6)
        run.wanted_preview = "taesd"
        save_file({"0.weight": torch.zeros(1)}, folder / "taesd_decoder.safetensors")
        damaged = previewer(latents)(denoised)
        assert damaged is not None
        assert damaged.size == (5, 6)


def test_incomplete_files_are_refused(tmp_path: Path) -> None:
    save_file({"taesd_encoder.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "half.safetensors")
    with pytest.raises(UnknownWeights, match=r"'half\.safetensors' contains no supported tiny autoencoder"):
        load_autoencoder(tmp_path / "half.safetensors")
