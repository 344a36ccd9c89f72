"""The options of the advanced save node, each by its effect on the file."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tests.media.pictures import exr_samples
from tests.nodes.context import FolderContext, with_hidden

from safelight.media.image import decode_image
from safelight.nodes.files.save_image_advanced import SaveImageAdvanced

PROMPT = {"1": {"class_type": "SaveImageAdvanced"}}


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def save(level: float, format: dict[str, Any], *, batch: int = 1, channels: int = 3):
    images = torch.full((batch, 64, 64, channels), level)
    output = with_hidden(SaveImageAdvanced, prompt=PROMPT).execute(
        images=images, filename_prefix="adv/x", format=format
    )
    assert output.values[0] is images
    return output


def test_8_bit_png(run: FolderContext) -> None:
    output = save(0.3, {"format": "png", "bit_depth": "8-bit", "input_color_space": "sRGB"}, batch=2)
    assert [i["filename"] for i in output.ui["images"]] == ["x_00001_.png", "x_00002_.png"]
    assert "animated" not in output.ui
    with Image.open(run.saved[1].path) as image:
        assert image.getpixel((0, 0)) == (76, 76, 76)
        assert json.loads(image.text["prompt"]) == PROMPT


def test_16_bit_png(run: FolderContext) -> None:
    save(0.3, {"format": "png", "bit_depth": "16-bit", "input_color_space": "sRGB"})
    with av.open(str(run.saved[0].path)) as container:
        levels = next(container.decode(video=0)).to_ndarray(format="rgb48le")
    assert np.unique(levels).tolist() == [round(0.3 * 65535)]


@pytest.mark.parametrize(
    ("space", "light"), [("sRGB", 0.2140411), ("HDR", 1 / 12), ("linear", 0.5), ("linear ACEScg", 0.5)]
)
def test_exr_is_linear(run: FolderContext, space: str, light: float) -> None:
    save(0.5, {"format": "exr", "bit_depth": "32-bit float", "input_color_space": space}, channels=4)
    found = exr_samples(run.saved[0].path)
    assert np.allclose(found[..., :3], light, atol=1e-6)
    assert np.all(found[..., 3] == 0.5)


def test_half_floats_are_the_default(run: FolderContext) -> None:
    save(0.1, {"format": "exr", "input_color_space": "linear"})
    assert np.unique(exr_samples(run.saved[0].path)).tolist() == [np.float16(0.1)]


@pytest.mark.parametrize(
    ("depth", "space", "pixel_format"),
    [
        ("auto", "sRGB", "yuv420p"),
        ("auto", "HDR", "yuv420p10le"),
        ("10-bit YUV420", "sRGB", "yuv420p10le"),
        ("8-bit YUV420", "HDR PQ", "yuv420p"),
    ],
)
def test_avif_depths(run: FolderContext, depth: str, space: str, pixel_format: str) -> None:
    mode = {"save_mode": "still images"}
    output = save(
        0.5, {"format": "avif", "bit_depth": depth, "input_color_space": space, "crf": 5, "save_mode": mode}, batch=2
    )
    assert len(output.ui["images"]) == 2
    with av.open(str(run.saved[0].path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt.replace("yuvj", "yuv") == pixel_format


def test_moving_avif(run: FolderContext) -> None:
    mode = {"save_mode": "animated", "fps": 8.0, "loop_count": 0}
    output = save(
        0.5, {"format": "avif", "bit_depth": "auto", "input_color_space": "sRGB", "crf": 5, "save_mode": mode}, batch=3
    )
    assert len(output.ui["images"]) == 1
    assert output.ui["animated"] == (True,)
    assert decode_image(run.saved[0].path).frames.shape[0] == 3


def test_grey_avif(run: FolderContext) -> None:
    save(0.5, {"format": "avif", "crf": 5, "save_mode": {"save_mode": "still images"}}, channels=1)
    assert decode_image(run.saved[0].path).frames.mean() == pytest.approx(0.5, abs=0.01)


def test_avif_refuses_alpha(run: FolderContext) -> None:
    with pytest.raises(ValueError, match="remove the alpha"):
        save(0.5, {"format": "avif", "crf": 5, "save_mode": {"save_mode": "still images"}}, channels=4)
