import numpy as np
import pytest
import torch
from PIL import Image

from safelight.nodes.image.resampling import METHODS, from_pil, repeat_to, resize, resize_mask, to_pil
from safelight.nodes.image.scaling import FluxKontextImageScale, ImageScale, fill_in


@pytest.mark.parametrize("method", METHODS)
def test_uniform_color_is_preserved(method: str) -> None:
    image = torch.full((2, 9, 7, 3), 102 / 255)
    resized = resize(image, 13, 4, method=method)
    assert resized.shape == (2, 4, 13, 3)
    torch.testing.assert_close(resized, torch.full_like(resized, 102 / 255))


def test_lanczos_scales_a_mask_as_pillow_scales_a_grey_picture() -> None:
    mask = torch.rand(2, 8, 10, generator=torch.Generator().manual_seed(1))
    gray = Image.fromarray((mask[1] * 255).to(torch.uint8).numpy())
    wanted = torch.from_numpy(np.asarray(gray.resize((5, 6), Image.Resampling.LANCZOS)) / np.float32(255))
    assert torch.equal(resize_mask(mask, 5, 6, method="lanczos")[1], wanted)


def test_center_crops_both_sides_equally() -> None:
    columns = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 4, 8, 3)
    square = resize(columns, 4, 4, method="nearest-exact", crop="center")
    assert square[0, 0, :, 0].tolist() == [2, 3, 4, 5]


def test_an_unknown_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="'left'"):
        resize(torch.zeros(1, 2, 2, 3), 2, 2, method="area", crop="left")


def test_eight_bits_are_truncated() -> None:
    assert to_pil(torch.tensor([[0.0, 0.999 / 255, 1.0, 2.0, -1.0]])).tobytes() == bytes([0, 0, 255, 255, 0])
    assert from_pil(Image.new("RGB", (2, 3), (255, 0, 51))).shape == (3, 2, 3)


@pytest.mark.parametrize(("have", "size", "wanted"), [(3, 2, [0, 1]), (2, 5, [0, 1, 0, 1, 0]), (1, 1, [0])])
def test_batches_repeat_from_their_start(have: int, size: int, wanted: list[int]) -> None:
    assert repeat_to(torch.arange(have), size).tolist() == wanted


def test_a_side_of_zero_follows_the_aspect_and_is_never_zero() -> None:
    assert fill_in(0, 7, old_width=17, old_height=13) == (9, 7)
    assert fill_in(3, 0, old_width=1000, old_height=1) == (3, 1)


def test_both_sides_zero_leave_the_image() -> None:
    image = torch.rand(1, 3, 4, 3)
    assert ImageScale.execute(image, "area", 0, 0, "center").values[0] is image


def test_a_square_becomes_a_megapixel_for_flux_kontext() -> None:
    assert FluxKontextImageScale.execute(torch.zeros(1, 5, 5, 3)).values[0].shape == (1, 1024, 1024, 3)
