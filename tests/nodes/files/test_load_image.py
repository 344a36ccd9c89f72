"""Nodes that load images: the tensors that they output."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.media.pictures import gradient
from tests.nodes.context import FolderContext

from safelight.media.media_errors import UnreadableMedia
from safelight.nodes.files.load_image import LoadImage, LoadImageMask, LoadImageOutput


@pytest.fixture
def run(tmp_path: Path):
    with FolderContext(tmp_path).running() as run:
        yield run


def test_an_opaque_image_has_an_empty_mask_of_64(run: FolderContext) -> None:
    gradient().save(run.input / "a.png")
    image, mask = LoadImage.execute(image="a.png").values
    assert image.dtype == torch.float32
    assert image.shape == (1, 6, 8, 3)
    assert torch.equal(image[0], torch.from_numpy(np.asarray(gradient()).astype(np.float32) / 255))
    assert torch.equal(mask, torch.zeros(1, 64, 64))


def test_the_mask_marks_transparent_pixels(run: FolderContext) -> None:
    image = gradient().convert("RGBA")
    image.putalpha(51)
    image.save(run.input / "a.png")
    loaded, mask = LoadImage.execute(image="a.png").values
    assert loaded.shape == (1, 6, 8, 3)
    assert mask.shape == (1, 6, 8)
    assert torch.allclose(mask, torch.full_like(mask, 0.8))


def test_an_animation_is_a_batch(run: FolderContext) -> None:
    frames = [Image.new("RGBA", (4, 4), (255, 0, 0, alpha)) for alpha in (255, 0)]
    frames[0].save(run.input / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = LoadImage.execute(image="a.webp").values
    assert image.shape == (2, 4, 4, 3)
    assert mask[:, 0, 0].tolist() == [0, 1]


def test_annotated_names_reach_other_folders(run: FolderContext) -> None:
    (run.root / "output" / "sub").mkdir(parents=True)
    gradient().save(run.root / "output" / "sub" / "a.png")
    assert LoadImage.execute(image="sub/a.png [output]").values[0].shape == (1, 6, 8, 3)
    assert LoadImageOutput.execute(image="sub/a.png [output]").values[0].shape == (1, 6, 8, 3)


@pytest.mark.parametrize(
    ("channel", "expected"), [("red", 10 / 255), ("green", 20 / 255), ("blue", 30 / 255), ("alpha", 0.8)]
)
def test_one_channel_as_a_mask(run: FolderContext, channel: str, expected: float) -> None:
    Image.new("RGBA", (5, 3), (10, 20, 30, 51)).save(run.input / "a.png")
    (mask,) = LoadImageMask.execute(image="a.png", channel=channel).values
    assert mask.shape == (1, 3, 5)
    assert torch.allclose(mask, torch.full_like(mask, expected))


def test_the_alpha_of_an_opaque_image_is_an_empty_mask_of_its_size(run: FolderContext) -> None:
    gradient().save(run.input / "a.png")
    (mask,) = LoadImageMask.execute(image="a.png", channel="alpha").values
    assert torch.equal(mask, torch.zeros(1, 6, 8))


@pytest.mark.parametrize("name", ["nope.png", "../a.png", "", "a/../../b.png"])
def test_missing_files_are_reported(run: FolderContext, name: str) -> None:
    for node in (LoadImage, LoadImageMask, LoadImageOutput):
        assert node.validate_inputs(image=name) == f"Invalid image file: {name}"


def test_existing_files_are_valid(run: FolderContext) -> None:
    gradient().save(run.input / "a.png")
    assert LoadImage.validate_inputs(image="a.png") is True


def test_new_bytes_under_an_old_name_are_new(run: FolderContext) -> None:
    gradient().save(run.input / "a.png")
    gradient().save(run.input / "b.png")
    first = LoadImage.fingerprint_inputs(image="a.png")
    assert LoadImage.fingerprint_inputs(image="b.png") == first
    gradient(9, 6).save(run.input / "a.png")
    assert LoadImage.fingerprint_inputs(image="a.png") != first


def test_a_file_that_is_not_an_image(run: FolderContext) -> None:
    (run.input / "a.png").write_text("not a picture")
    with pytest.raises(UnreadableMedia, match=r"'a\.png' is not an image"):
        LoadImage.execute(image="a.png")


@pytest.mark.parametrize(
    ("node", "inputs"), [(LoadImage, {}), (LoadImageMask, {"channel": "red"}), (LoadImageOutput, {})]
)
def test_errors_name_the_users_file(run: FolderContext, node: type, inputs: dict[str, str]) -> None:
    """The bytes are in a file that is named by their digest."""
    blob = run.input / ("0f" * 32)
    blob.write_bytes(b"no picture")
    run.input_path = lambda name: blob  # type: ignore[method-assign]
    with pytest.raises(UnreadableMedia, match=r"^'holiday\.png' is not an image"):
        node.execute(image="holiday.png", **inputs)
