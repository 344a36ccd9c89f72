"""Regions of images, and what is painted on them."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.nodes.context import FolderContext

from safelight.nodes.image.compression import LTXVPreprocess
from safelight.nodes.image.painter import Painter
from safelight.nodes.image.region import ImageCropV2
from safelight.nodes.image.source import GetImageSize
from safelight.nodes.image.subject import ImageCropToMask
from safelight.sdk.node import Hidden

BLACK, RED = "#000000", "#ff0000"


def test_the_size_is_shown_on_the_node(tmp_path: Path) -> None:
    class Shown(GetImageSize):
        hidden = Hidden(unique_id="7")

    with FolderContext(tmp_path).running() as run:
        assert Shown.execute(torch.zeros(2, 3, 4, 3)).values == (4, 3, 2)
    assert run.texts == ["width: 4, height: 3\n batch size: 2"]


def test_a_region_is_cut_at_the_border() -> None:
    image = torch.rand(1, 6, 8, 3)
    box = {"x": 5, "y": 4, "width": 100, "height": 100}
    assert torch.equal(ImageCropV2.execute(image, box).values[0], image[:, 4:, 5:])
    outside = {"x": 50, "y": 50, "width": 3, "height": 3}
    assert torch.equal(ImageCropV2.execute(image, outside).values[0], image[:, 5:, 7:])


@pytest.mark.parametrize("inverted", [False, True])
def test_the_subject_comes_to_the_centre(inverted: bool) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, 20:30, 36:46] = 1.0
    image = torch.rand(1, 64, 64, 3) * mask.unsqueeze(-1) + (1 - mask.unsqueeze(-1))
    given = 1 - mask if inverted else mask
    cut = ImageCropToMask.execute(image, given, 128, 64, 1.0, 0, RED).values[0]
    assert cut.shape == (1, 64, 128, 3)
    assert cut[0, :, :12].eq(torch.tensor([1.0, 0.0, 0.0])).all()
    assert cut[0, :, 116:].eq(torch.tensor([1.0, 0.0, 0.0])).all()
    assert cut[0, 32, 40:88, 1].mean() > 0.1


def test_an_empty_mask_keeps_the_whole_image() -> None:
    image = torch.rand(2, 64, 64, 3)
    cut = ImageCropToMask.execute(image, torch.zeros(1, 64, 64), 64, 64, 1.0, 0, BLACK).values[0]
    torch.testing.assert_close(cut, image, atol=1 / 255, rtol=0)


def test_masks_must_match_the_images() -> None:
    with pytest.raises(ValueError, match="2 masks for 3 images"):
        ImageCropToMask.execute(torch.zeros(3, 8, 8, 3), torch.zeros(2, 8, 8), 64, 64, 1.0, 0, BLACK)


def test_strokes_lie_on_the_canvas(tmp_path: Path) -> None:
    with FolderContext(tmp_path).running() as run:
        strokes = Image.new("RGBA", (64, 64))
        strokes.paste((0, 255, 0, 255), (0, 0, 32, 64))
        strokes.save(run.input / "painted.png")
        image, mask = Painter.execute("painted.png", 64, 64, RED).values
    assert image[0, 0, 0].tolist() == [0, 1, 0]
    assert image[0, 0, 63].tolist() == [1, 0, 0]
    assert mask.sum() == 32 * 64


def test_an_unpainted_canvas_is_its_background() -> None:
    image, mask = Painter.execute("", 128, 64, RED).values
    assert image.shape == (1, 64, 128, 3)
    assert image[0, 5, 5].tolist() == [1, 0, 0]
    assert not mask.any()
    below = torch.rand(2, 5, 6, 3)
    image, mask = Painter.execute("", 128, 64, image=below).values
    assert image is below
    assert mask.shape == (2, 5, 6)


def test_higher_compression_loses_more() -> None:
    ramp = torch.linspace(0, 1, 63).view(1, 1, 63, 1).expand(1, 49, 63, 3)
    light, heavy = (LTXVPreprocess.execute(ramp, crf).values[0] for crf in (5, 50))
    assert light.shape == heavy.shape == (1, 48, 62, 3)
    errors = [(one - ramp[:, :48, :62]).abs().mean().item() for one in (light, heavy)]
    assert errors[0] < 0.02 < 0.2
    assert errors[0] < errors[1]
