"""Saved and previewed images: pixels, names, metadata and the results that clients read."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.nodes.context import FolderContext, with_hidden

from safelight.nodes.files.load_image import LoadImage
from safelight.nodes.files.save_animation import SaveAnimatedPNG, SaveAnimatedWEBP
from safelight.nodes.files.save_image import SaveImage
from safelight.nodes.files.show_image import ImageCompare, MaskPreview, PreviewImage
from safelight.sdk import Cancelled

PROMPT = {"9": {"class_type": "SaveImage", "inputs": {}}}
WORKFLOW = {"nodes": [{"id": 9}]}


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def constant(level: float, *, batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.full((batch, 6, 8, channels), level)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    ("value", "level"), [(0.25, 63), (0.1, 25), (0.2, 51), (0.3, 76), (0.5, 127), (1.5, 255), (-1, 0), (2 / 3, 170)]
)
def test_saved_levels(run: FolderContext, value: float, level: int) -> None:
    SaveImage.execute(images=constant(value), filename_prefix="ComfyUI")
    assert np.unique(pixels(run.saved[0].path)).tolist() == [level]


def test_a_loaded_image_is_saved_with_the_same_pixels(run: FolderContext) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(noise).save(run.input / "a.png")
    SaveImage.execute(images=LoadImage.execute(image="a.png").values[0], filename_prefix="copy")
    assert np.array_equal(pixels(run.saved[0].path), noise)


def test_names_count_on(run: FolderContext) -> None:
    first = SaveImage.execute(images=constant(0, batch=2), filename_prefix="shots/day_%width%x%height%")
    second = SaveImage.execute(images=constant(0), filename_prefix="shots/day_8x6")
    assert first.ui == {
        "images": [
            {"filename": "day_8x6_00001_.png", "subfolder": "shots", "type": "output"},
            {"filename": "day_8x6_00002_.png", "subfolder": "shots", "type": "output"},
        ]
    }
    assert second.ui is not None
    assert second.ui["images"][0]["filename"] == "day_8x6_00003_.png"
    assert all(f.path.is_file() for f in run.saved)


def test_metadata(run: FolderContext) -> None:
    node = with_hidden(SaveImage, prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW})
    node.execute(images=constant(0), filename_prefix="ComfyUI")
    with Image.open(run.saved[0].path) as image:
        assert {k: json.loads(v) for k, v in image.text.items()} == {"prompt": PROMPT, "workflow": WORKFLOW}


def test_alpha_is_saved(run: FolderContext) -> None:
    SaveImage.execute(images=constant(0.2, channels=4), filename_prefix="ComfyUI")
    assert pixels(run.saved[0].path)[0, 0].tolist() == [51, 51, 51, 51]


def test_half_precision_is_saved(run: FolderContext) -> None:
    SaveImage.execute(images=constant(1.0).to(torch.bfloat16), filename_prefix="ComfyUI")
    assert np.unique(pixels(run.saved[0].path)).tolist() == [255]


def test_previews_are_saved_in_temp_under_unique_names(run: FolderContext) -> None:
    random.seed(1)
    state = random.getstate()
    shown = [PreviewImage.execute(images=constant(0.5, batch=2)).ui for _ in range(2)]
    names = [i["filename"] for ui in shown if ui for i in ui["images"]]
    assert all(re.fullmatch(r"ComfyUI_temp_[a-z]{5}_0000[12]_\.png", n) for n in names)
    assert len(set(names)) == 4
    assert {(f.folder, f.subfolder) for f in run.saved} == {("temp", "")}
    assert random.getstate() == state


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (2, 1, 4, 5)])
def test_masks_are_shown_in_grey(run: FolderContext, shape: tuple[int, ...]) -> None:
    MaskPreview.execute(mask=torch.full(shape, 0.5))
    assert len(run.saved) == (1 if len(shape) == 2 else 2)
    assert pixels(run.saved[0].path).shape == (4, 5, 3)
    assert np.unique(pixels(run.saved[0].path)).tolist() == [127]


def test_two_images_are_compared(run: FolderContext) -> None:
    ui = ImageCompare.execute(image_a=constant(0), image_b=constant(1, batch=2)).ui
    assert ui is not None
    assert [i["filename"] for i in ui["a_images"]] == ["comfy.compare.a_00001_.png"]
    assert [i["filename"] for i in ui["b_images"]] == ["comfy.compare.b_00001_.png", "comfy.compare.b_00002_.png"]
    assert {f.folder for f in run.saved} == {"temp"}
    assert ImageCompare.execute(image_b=constant(0)).ui["a_images"] == []  # type: ignore[index]


@pytest.mark.parametrize(
    ("node", "options"),
    [
        (SaveAnimatedWEBP, {"lossless": True, "quality": 80, "method": "fastest"}),
        (SaveAnimatedPNG, {"compress_level": 4}),
    ],
)
def test_animations(run: FolderContext, node: type, options: dict) -> None:
    images = torch.stack([torch.full((4, 4, 3), level) for level in (0.0, 0.5, 1.0)])
    output = node.execute(images=images, filename_prefix="moving", fps=8.0, **options)
    assert output.ui["animated"] == (True,)
    assert len(run.saved) == 1
    with Image.open(run.saved[0].path) as image:
        assert image.n_frames == 3
        levels = []
        for index in range(3):
            image.seek(index)
            image.load()
            assert image.info["duration"] == 125
            levels.append(image.convert("RGB").getpixel((0, 0))[0])
    assert levels == [0, 127, 255]


def test_a_single_frame_is_no_animation(run: FolderContext) -> None:
    output = SaveAnimatedWEBP.execute(
        images=constant(0.5), filename_prefix="still", fps=8.0, lossless=False, quality=50, method="default"
    )
    assert output.ui is not None
    assert output.ui["animated"] == (False,)


def test_saving_many_can_be_cancelled(tmp_path: Path) -> None:
    with FolderContext(tmp_path, cancel_after=0).running() as run, pytest.raises(Cancelled):
        SaveImage.execute(images=constant(0, batch=3), filename_prefix="ComfyUI")
    assert run.saved == []
