"""Films in nodes: saved while they are decoded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.autoencoder.test_wan import autoencoder_in
from tests.nodes.context import FolderContext, with_hidden

from safelight.media.image import decode_image
from safelight.media.video import probe, read_frames
from safelight.models.autoencoder.film import Film
from safelight.nodes.files.save_image import SaveImage
from safelight.nodes.latent.autoencoder import VAEDecode, VAEDecodeTiled
from safelight.nodes.video.clip import FrameClip
from safelight.nodes.video.load_video import GetVideoComponents, VideoSlice
from safelight.nodes.video.save_video import CreateVideo, SaveVideo, SaveWEBM

HIDDEN = {"prompt": {}, "extra_pnginfo": {}}


@pytest.fixture(autouse=True)
def run(tmp_path: Path) -> Iterator[FolderContext]:
    with FolderContext(tmp_path).running() as run:
        yield run


@pytest.fixture
def film(tmp_path: Path) -> Film:
    vae = autoencoder_in(tmp_path / "v.safetensors")
    latent = torch.randn(1, 16, 4, 4, 6, generator=torch.Generator().manual_seed(1))
    made: Any = VAEDecode.execute({"samples": latent}, vae).values[0]  # type: ignore[arg-type]
    assert isinstance(made, Film)
    return made


def test_pictures_are_decoded_at_once(tmp_path: Path) -> None:
    vae: Any = autoencoder_in(tmp_path / "v.safetensors")
    assert isinstance(VAEDecode.execute({"samples": torch.zeros(2, 16, 1, 4, 4)}, vae).values[0], torch.Tensor)
    assert isinstance(VAEDecodeTiled.execute({"samples": torch.zeros(1, 16, 2, 4, 4)}, vae, 64).values[0], Film)


def test_a_film_is_saved_with_its_count_rate_and_length(film: Film, run: FolderContext) -> None:
    video = CreateVideo.execute(film, 16.0).values[0]
    with_hidden(SaveVideo, **HIDDEN).execute(video, "a", "auto", "auto")
    info = probe(run.saved[0].path)
    assert (info.frame_count, float(info.frame_rate), info.width, info.height) == (13, 16.0, 48, 32)
    assert info.duration_s == pytest.approx(13 / 16)
    assert run.steps == [(1, 13), (5, 13), (9, 13), (13, 13)]


def test_a_part_of_a_film_is_cut_without_decoding_the_rest(film: Film, run: FolderContext) -> None:
    video = CreateVideo.execute(film, 10.0).values[0]
    part = VideoSlice.execute(video, start_time=0.2, duration=0.3).values[0]
    assert isinstance(part, FrameClip)
    assert not run.steps
    with_hidden(SaveVideo, **HIDDEN).execute(part, "a", "auto", "auto")
    assert probe(run.saved[0].path).frame_count == 3
    assert run.steps[-1] == (3, 3)


def test_other_nodes_see_the_frames_of_the_video(film: Film) -> None:
    images, _, fps = GetVideoComponents.execute(CreateVideo.execute(film, 8.0).values[0]).values
    assert torch.equal(images, film.whole())
    assert fps == 8.0


def test_a_film_becomes_a_webm_and_pictures(film: Film, run: FolderContext) -> None:
    with_hidden(SaveWEBM, **HIDDEN).execute(film, "w", "vp9", 24.0, 30.0)
    assert len(list(read_frames(run.saved[0].path))) == 13
    with_hidden(SaveImage, **HIDDEN).execute(film, "p")
    pictures = run.saved[1:]
    assert len(pictures) == 13
    last = torch.from_numpy(decode_image(pictures[-1].path).frames)[0]
    torch.testing.assert_close(last, film.whole()[-1], atol=1 / 255, rtol=0)
