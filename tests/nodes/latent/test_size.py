"""Sizes that are allowed one by one may be too large together; then no memory is allocated."""

import resource
from collections.abc import Callable
from typing import Any

import pytest
import torch

from safelight.core.errors import TooLarge
from safelight.nodes.audio.load_audio import EmptyAudio
from safelight.nodes.image.batch import RepeatImageBatch
from safelight.nodes.image.size_limit import check_size
from safelight.nodes.image.source import EmptyImage
from safelight.nodes.image.tiles import ImageMergeTileList
from safelight.nodes.latent.batch import RepeatLatentBatch
from safelight.nodes.latent.empty import EmptyLatentImage, EmptySD3LatentImage, StableCascade_EmptyLatentImage
from safelight.nodes.latent.empty_video import EmptyHunyuanLatentVideo, EmptyLTXVLatentVideo

LARGEST = {"width": 16384, "height": 16384, "batch_size": 4096}
IMAGE = torch.zeros(1, 1, 1, 3).expand(2**16, 2**8, 2**5, 3)
"""Takes no memory itself."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: EmptyLatentImage.execute(**LARGEST),
        lambda: EmptySD3LatentImage.execute(**LARGEST),
        lambda: StableCascade_EmptyLatentImage.execute(**LARGEST, compression=4),
        lambda: EmptyHunyuanLatentVideo.execute(**LARGEST, length=16384),
        lambda: EmptyLTXVLatentVideo.execute(**LARGEST, length=1),
        lambda: EmptyImage.execute(**LARGEST),
        lambda: EmptyAudio.execute(duration=1e12, sample_rate=192000, channels=2),
        lambda: ImageMergeTileList.execute(
            image_list=[torch.zeros(1, 512, 512, 3)], final_width=[32768], final_height=[32768], overlap=[0]
        ),
        lambda: RepeatImageBatch.execute(image=IMAGE, amount=4096),
        lambda: RepeatLatentBatch.execute(samples={"samples": IMAGE}, amount=64),
    ],
)
def test_sizes_that_are_too_large_together_allocate_nothing(make: Callable[[], Any]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge, match="the limit of 2,147,483,648"):
        make()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_the_largest_is_allowed() -> None:
    check_size((2**20, 2**11))
    with pytest.raises(TooLarge):
        check_size((2**20, 2**11, 2))
    assert EmptyLatentImage.execute(width=512, height=256, batch_size=2).values[0]["samples"].shape == (2, 4, 32, 64)
