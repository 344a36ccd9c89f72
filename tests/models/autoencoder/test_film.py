"""Films: frames that are decoded when they are read, in pieces or as a whole."""

from pathlib import Path

import pytest
import torch
from tests.models.autoencoder.test_wan import autoencoder_in
from tests.nodes.context import FolderContext

from safelight.core.errors import TooLarge
from safelight.models.autoencoder.film import Film, Tiling
from safelight.models.autoencoder.tiles import in_tiles
from safelight.models.autoencoder.video_autoencoder import VideoAutoencoder, WrongLatent
from safelight.sdk import Cancelled
from safelight.sdk.in_pieces import with_whole_values


@pytest.fixture
def autoencoder(tmp_path: Path) -> VideoAutoencoder:
    return autoencoder_in(tmp_path / "v.safetensors")


@pytest.fixture
def latent() -> torch.Tensor:
    return torch.randn(2, 16, 3, 4, 6, generator=torch.Generator().manual_seed(1))


def test_the_pieces_are_the_whole(autoencoder: VideoAutoencoder, latent: torch.Tensor) -> None:
    film = autoencoder.film(latent)
    whole = autoencoder.decode(latent)
    assert film.shape == whole.shape == (18, 32, 48, 3)
    assert torch.equal(torch.cat(list(film.pieces())), whole)
    assert max(len(piece) for piece in film.pieces()) == 4


@pytest.mark.parametrize(("first", "last"), [(0, 18), (0, 1), (1, 2), (3, 7), (8, 10), (17, 30), (5, 5), (-3, None)])
def test_a_slice_is_a_film_of_those_frames(
    first: int, last: int | None, autoencoder: VideoAutoencoder, latent: torch.Tensor
) -> None:
    cut = autoencoder.film(latent)[first:last]
    assert isinstance(cut, Film)
    assert torch.equal(cut.whole(), autoencoder.decode(latent)[first:last])
    assert torch.equal(autoencoder.film(latent)[2:][1:3].whole(), autoencoder.decode(latent)[3:5])


def test_other_indices_give_frames(autoencoder: VideoAutoencoder, latent: torch.Tensor) -> None:
    film, whole = autoencoder.film(latent), autoencoder.decode(latent)
    assert torch.equal(film[-1], whole[-1])
    assert torch.equal(film[::5], whole[::5])
    assert torch.equal(film[..., :2], whole[..., :2])


def test_tiles_have_no_borders_in_time(autoencoder: VideoAutoencoder) -> None:
    latent = torch.randn(1, 16, 3, 8, 24, generator=torch.Generator().manual_seed(1))

    def alone(tile: torch.Tensor) -> torch.Tensor:
        return autoencoder.decode(tile).movedim(-1, 0)[None]

    expected = in_tiles(latent, alone, size=(16, 16), overlap=8, scale=8.0)[0].movedim(0, -1)
    tiled = autoencoder.film(latent, Tiling(16, 8)).whole()
    left = (slice(None), slice(None), slice(0, 64))  # only of the first tile: blending comes before the range is cut
    torch.testing.assert_close(tiled[left], expected[left], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(tiled, autoencoder.decode(latent), atol=1e-3)


def test_readers_of_the_whole_at_the_same_time_share_it(autoencoder: VideoAutoencoder, latent: torch.Tensor) -> None:
    film = autoencoder.film(latent)
    one, other = film.whole(), film.whole()
    assert one is other
    del one, other
    assert film._made[0]() is None


def test_progress_is_in_frames_and_a_cancelled_job_stops(
    autoencoder: VideoAutoencoder, latent: torch.Tensor, tmp_path: Path
) -> None:
    with FolderContext(tmp_path).running() as run:
        autoencoder.film(latent[:1]).whole()
    assert run.steps == [(1, 9), (5, 9), (9, 9)]
    with FolderContext(tmp_path, cancel_after=2).running() as run, pytest.raises(Cancelled):
        autoencoder.film(latent[:1]).whole()
    assert run.steps == [(1, 9), (5, 9)]


def test_latents_of_other_models_are_refused_before_anything_is_decoded(autoencoder: VideoAutoencoder) -> None:
    with pytest.raises(WrongLatent, match=r"shape \[1, 4, 3, 2, 2\], but this VAE decodes videos with 16 channels"):
        autoencoder.film(torch.zeros(1, 4, 3, 2, 2))


def test_a_film_that_does_not_fit_into_memory_is_not_decoded_as_a_whole(autoencoder: VideoAutoencoder) -> None:
    film = autoencoder.film(torch.zeros(1).expand(1, 16, 2500, 270, 480))
    assert len(film) == 9997
    with pytest.raises(TooLarge, match=r"9997 frames of 3840 x 2160 .* save them as a video"):
        film.whole()
    with pytest.raises(TooLarge):
        film[5]


def test_nodes_get_the_whole_unless_they_read_in_pieces(autoencoder: VideoAutoencoder, latent: torch.Tensor) -> None:
    film = autoencoder.film(latent)
    arguments = {"images": film, "others": [film, 1], "growing": {"image0": film, "image1": 1}, "kept": film}
    given = with_whole_values(arguments, besides={"kept"})
    assert isinstance(given["images"], torch.Tensor)
    assert isinstance(given["others"][0], torch.Tensor)
    assert isinstance(given["growing"]["image0"], torch.Tensor)
    assert given["kept"] is film
