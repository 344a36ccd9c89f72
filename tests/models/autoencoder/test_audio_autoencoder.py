"""Autoencoders of audio: shapes from the file, the spellings of its weights, lengths and channels."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.autoencoder.audio_autoencoder import AudioAutoencoder, OobleckAutoencoder
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.autoencoder.oobleck_module import Oobleck, OobleckShape
from safelight.models.checkpoint import load_autoencoder
from safelight.models.weights import UnknownWeights

SHAPE = OobleckShape(channels=2, latent=3, widths=(4, 6, 8), strides=(2, 3))


def state(shape: OobleckShape = SHAPE) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    module = Oobleck(shape)
    return {
        name: torch.randn(value.shape, generator=generator) * (1.0 if name.endswith("_g") else 0.2)
        for name, value in module.state_dict().items()
    }


def loaded(folder: Path, weights: dict[str, torch.Tensor]) -> OobleckAutoencoder:
    save_file(weights, folder / "vae.safetensors")
    found = load_autoencoder(folder / "vae.safetensors")
    assert isinstance(found, OobleckAutoencoder)
    return found


def test_depth_and_strides_are_those_of_the_file(tmp_path: Path) -> None:
    vae = loaded(tmp_path, state())
    assert vae.shape == SHAPE
    assert vae.decode_audio(torch.randn(2, 3, 5)).shape[:2] == (2, 2)
    assert isinstance(vae, AudioAutoencoder)
    assert not isinstance(ImageAutoencoder, AudioAutoencoder)


def test_both_spellings_of_normalized_weights_are_the_same(tmp_path: Path) -> None:
    old = state()
    new = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): value
        for name, value in old.items()
    }
    latent = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(2))
    first = loaded(tmp_path, old).decode_audio(latent)
    (tmp_path / "new").mkdir()
    assert torch.equal(loaded(tmp_path / "new", new).decode_audio(latent), first)
    prefixed = {f"pretransform.model.{name}": value for name, value in old.items()}
    (tmp_path / "whole").mkdir()
    assert torch.equal(loaded(tmp_path / "whole", prefixed).decode_audio(latent), first)


def test_a_waveform_is_cropped_to_whole_positions_and_mono_is_doubled(tmp_path: Path) -> None:
    vae = loaded(tmp_path, state())
    waveform = torch.randn(1, 1, 6 * 4, generator=torch.Generator().manual_seed(2))
    longer = torch.cat([torch.zeros(1, 1, 2), waveform, torch.zeros(1, 1, 3)], dim=-1)
    assert torch.equal(vae.encode_audio(longer), vae.encode_audio(waveform.expand(-1, 2, -1)))


@pytest.mark.parametrize(("channels", "length", "message"), [(3, 60, "1 or 2 channels, not 3"), (2, 5, "at least 6")])
def test_other_audio_is_refused(tmp_path: Path, channels: int, length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path, state()).encode_audio(torch.zeros(1, channels, length))


def test_a_file_without_an_encoder_names_what_is_missing(tmp_path: Path) -> None:
    weights = {name: value for name, value in state().items() if name.startswith("decoder.")}
    with pytest.raises(UnknownWeights, match=r"encoder.layers.0.weight_v"):
        loaded(tmp_path, weights)
