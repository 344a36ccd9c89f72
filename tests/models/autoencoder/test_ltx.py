"""The autoencoder of LTX-Video as the value on VAE links; its numbers are compared in tests/golden."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.against_comfyui.modules import LTX_AUTOENCODERS
from safetensors.torch import save_file

from safelight.models.autoencoder.ltx_autoencoder import LtxAutoencoder
from safelight.models.autoencoder.ltx_module import LtxVideoAutoencoder, ltx_autoencoder_shape
from safelight.models.checkpoint import load_autoencoder
from safelight.models.families.ltx.miniature_files import AUTOENCODER
from safelight.models.miniatures.writing import random_weights
from safelight.models.weights import UnknownWeights

TIMED = replace(AUTOENCODER, is_timed=True)


def loaded(folder: Path, shape: Any = AUTOENCODER, *, prefix: str = "", settings: Any = None) -> LtxAutoencoder:
    with torch.device("meta"):
        module = LtxVideoAutoencoder(shape)
    weights = {f"{prefix}{name}": value for name, value in random_weights(module).items()}
    metadata = None if settings is None else {"config": json.dumps({"vae": settings})}
    save_file(weights, folder / "vae.safetensors", metadata=metadata)
    found = load_autoencoder(folder / "vae.safetensors")
    assert isinstance(found, LtxAutoencoder)
    return found


@pytest.mark.parametrize("version", LTX_AUTOENCODERS)
def test_blocks_are_those_of_the_file(version: str) -> None:
    expected = LTX_AUTOENCODERS[version]
    with torch.device("meta"):
        state = LtxVideoAutoencoder(expected).state_dict()
    assert ltx_autoencoder_shape({name: value.shape for name, value in state.items()}, {}) == expected
    assert (expected.frames, expected.downscale) == (8, 32)


def test_a_file_or_a_checkpoint_decodes_and_encodes(tmp_path: Path) -> None:
    vae = loaded(tmp_path, prefix="vae.")
    assert vae.decode(torch.randn(1, 128, 3, 2, 3)).shape == (17, 64, 96, 3)
    assert vae.encode(torch.rand(9, 70, 32, 3)).shape == (1, 128, 2, 2, 1)
    assert vae.downscale_index_formula == (8, 32, 32)


def test_tiles_decode_to_the_same_size(tmp_path: Path) -> None:
    vae = loaded(tmp_path)
    assert vae.decode_tiled(torch.randn(1, 128, 2, 5, 4), tile=3, overlap=1).shape == (9, 160, 128, 3)


def test_settings_in_the_metadata_count(tmp_path: Path) -> None:
    settings = {"causal_decoder": True, "spatial_padding_mode": "zeros"}
    shape = loaded(tmp_path, settings=settings).shape
    assert (shape.is_causal, shape.encoder_padding, shape.decoder_padding) == (True, "zeros", "zeros")


def test_a_denoising_decoder_gives_equal_images_for_equal_seeds(tmp_path: Path) -> None:
    vae, latent = loaded(tmp_path, TIMED), torch.randn(1, 128, 2, 2, 2)
    first = vae.decode(latent, seed=5)
    assert torch.equal(vae.decode(latent, seed=5), first)
    assert not torch.equal(vae.decode(latent, seed=6), first)
    assert torch.equal(vae.decode(latent), vae.decode(latent))


def test_a_latent_that_is_too_small_is_refused_with_its_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 64x64 pixels, but the latent is of 32x64"):
        loaded(tmp_path).decode(torch.zeros(1, 128, 1, 2, 1))


def test_a_number_of_frames_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"encodes 1 \+ 8n frames \(1, 9, 17 \.\.\.\), but there are 6"):
        loaded(tmp_path).encode(torch.rand(6, 32, 32, 3))


def test_a_part_of_the_file_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    loaded(tmp_path)
    save_file(
        {"decoder.up_blocks.0.res_blocks.0.conv1.conv.weight": torch.ones(4, 4, 3, 3, 3)}, tmp_path / "w.safetensors"
    )
    with pytest.raises(UnknownWeights, match=r"'w.safetensors' contains no supported autoencoder: .* is missing"):
        load_autoencoder(tmp_path / "w.safetensors")
