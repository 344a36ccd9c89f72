"""The autoencoder against diffusers' on the same random weights, and tiled against untiled."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from safelight.models.autoencoder.autoencoder_module import Autoencoder, AutoencoderShape, autoencoder_shape
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.checkpoint import load_autoencoder
from safelight.models.weights import UnknownWeights

SHAPE = AutoencoderShape(latent=4, channels=(32, 64), blocks=1, has_attention=True, has_quant=True)


@pytest.fixture(scope="module")
def ours() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SHAPE).eval().requires_grad_(False)


def test_equals_diffusers(ours: Autoencoder) -> None:
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    theirs = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=SHAPE.channels,
        layers_per_block=SHAPE.blocks,
        norm_num_groups=32,
    ).eval()
    theirs.load_state_dict(convert_ldm_vae_checkpoint(ours.state_dict(), theirs.config))
    picture, latent = torch.rand(2, 3, 16, 24) * 2 - 1, torch.randn(2, 4, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(ours.moments(picture)[0], theirs.encode(picture).latent_dist.mean)
        torch.testing.assert_close(ours.decode(latent), theirs.decode(latent).sample)


def test_the_shape_is_read_off_the_names(ours: Autoencoder) -> None:
    assert autoencoder_shape({name: value.shape for name, value in ours.state_dict().items()}) == SHAPE


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
@pytest.mark.parametrize("as_matrices", [False, True])
def test_files_of_one_autoencoder(ours: Autoencoder, tmp_path: Path, prefix: str, as_matrices: bool) -> None:
    state = {f"{prefix}{name}": value.clone() for name, value in ours.state_dict().items()}
    if as_matrices:
        state |= {name: value.flatten(1) for name, value in state.items() if "attn_1" in name and value.dim() == 4}
    save_file({**state, "loss.logvar": torch.zeros(())}, tmp_path / "vae.safetensors")
    loaded = load_autoencoder(tmp_path / "vae.safetensors")
    image = torch.rand(1, 18, 17, 4)
    latent = loaded.encode(image)
    assert latent.shape == (1, 4, 9, 8)
    expected = ours.moments(image[:, :, :16, :3].movedim(-1, 1) * 2 - 1)[0]
    torch.testing.assert_close(latent, expected)
    decoded = loaded.decode(latent)
    assert decoded.shape == (1, 18, 16, 3)
    torch.testing.assert_close(decoded, ((ours.decode(latent) + 1) / 2).clamp(0, 1).movedim(1, -1))


def test_a_file_without_an_autoencoder_is_an_error(tmp_path: Path) -> None:
    save_file({"something.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UnknownWeights, match=r"'other\.safetensors' contains no supported autoencoder"):
        load_autoencoder(tmp_path / "other.safetensors")


def test_tiles_of_local_work_are_seamless() -> None:
    """A function of single pixels gives the same result for tiles as for the whole image."""
    planes = torch.rand(1, 3, 37, 50)

    def doubled(part: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(part, scale_factor=2) * 3 + 1

    made = in_tiles(planes, doubled, size=(16, 20), overlap=4, scale=2.0)
    torch.testing.assert_close(made, doubled(planes))


def test_tiles_cover_each_place_at_their_size() -> None:
    seen: list[tuple[int, int]] = []

    def watched(part: torch.Tensor) -> torch.Tensor:
        seen.append((part.shape[-2], part.shape[-1]))
        return part

    in_tiles(torch.rand(1, 1, 30, 9), watched, size=(16, 16), overlap=4, scale=1.0)
    assert seen == [(16, 9), (16, 9), (6, 9)]
