import pytest
import torch

from safelight.nodes.image.color import parse_color
from safelight.nodes.image.color_transfer import METHODS, from_lab, to_lab
from safelight.nodes.image.quantize import ImageQuantize, bayer_matrix
from safelight.nodes.image.statistics import ColorTransfer, ImageHistogram

GENERATOR = torch.Generator().manual_seed(5)
DULL = torch.rand(2, 16, 16, 3, generator=GENERATOR) * 0.3 + 0.2
VIVID = torch.rand(1, 16, 16, 3, generator=GENERATOR) * torch.tensor([0.5, 0.2, 0.3]) + torch.tensor([0.4, 0.3, 0.2])


def test_lab_of_the_primaries() -> None:
    """http://www.brucelindbloom.com/index.html?ColorCalculator.html"""
    lab = to_lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    wanted = torch.tensor([[100.0, 0.0, 0.0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]])
    torch.testing.assert_close(lab, wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(from_lab(to_lab(DULL)), DULL, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_an_image_as_its_own_reference_is_unchanged(method: str) -> None:
    moved = ColorTransfer.execute(DULL, method, {"source_stats": "per_frame"}, 1.0, DULL).values[0]
    torch.testing.assert_close(moved, DULL, atol=0.5 / 255 + 1e-4, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_the_colors_become_the_reference_s(method: str) -> None:
    moved = ColorTransfer.execute(DULL, method, {"source_stats": "per_frame"}, 1.0, VIVID).values[0]
    space = (lambda rgb: rgb * 100) if method == "histogram" else to_lab
    wanted = space(VIVID)
    for frame in map(space, moved):
        torch.testing.assert_close(frame.mean((0, 1)), wanted.mean((0, 1, 2)), atol=1.0, rtol=0)
        torch.testing.assert_close(frame.std((0, 1)), wanted.std((0, 1, 2)), atol=1.0, rtol=0)


def test_one_frame_as_baseline_keeps_the_differences_between_frames() -> None:
    frames = torch.stack([DULL[0], DULL[0] * 0.5])
    stats = {"source_stats": "target_frame", "target_index": 7}  # clamped to the last frame
    moved = ColorTransfer.execute(frames, "reinhard_lab", stats, 1.0, VIVID).values[0]
    torch.testing.assert_close(moved[1].mean((0, 1)), VIVID.mean((0, 1, 2)), atol=0.03, rtol=0)
    assert moved[0].mean() > moved[1].mean() + 0.05


def test_without_strength_or_reference_the_image_stays() -> None:
    stats = {"source_stats": "uniform"}
    assert ColorTransfer.execute(DULL, "histogram", stats, 0.0, VIVID).values[0] is DULL
    assert ColorTransfer.execute(DULL, "histogram", stats, 1.0).values[0] is DULL


def test_a_histogram_counts_every_pixel_of_the_first_image() -> None:
    image = torch.zeros(2, 1, 4, 3)
    image[0, 0, 0] = torch.tensor([1.0, 0.0, 0.5])
    rgb, luminance, red, green, blue = ImageHistogram.execute(image).values
    assert all(sum(counts) == 4 and len(counts) == 256 for counts in (rgb, luminance, red, green, blue))
    assert (red[255], green[0], blue[128], rgb[128]) == (1, 4, 1, 1)
    assert luminance[round(255 * (0.2126 + 0.0361))] == 1


def test_colors_are_parsed() -> None:
    assert parse_color("#0a9299") == (10, 146, 153, 255)
    assert parse_color("#0A929900") == (10, 146, 153, 0)


@pytest.mark.parametrize("text", ["red", "#fff", "#12345g", "0a9299", "#0a92990", " #0a9299"])
def test_invalid_colors_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RRGGBB"):
        parse_color(text)


def test_bayer_thresholds_are_evenly_spaced() -> None:
    assert sorted((bayer_matrix(4).flatten() * 16).tolist()) == [n - 7.5 for n in range(16)]
    assert (bayer_matrix(2) * 4).tolist() == [[-1.5, 0.5], [1.5, -0.5]]


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-8"])
def test_at_most_the_requested_number_of_colors(dither: str) -> None:
    image = torch.rand(1, 20, 13, 4, generator=torch.Generator().manual_seed(7))
    quantized = ImageQuantize.execute(image, 5, dither).values[0]
    assert quantized.shape == (1, 20, 13, 3)
    assert len(quantized.reshape(-1, 3).unique(dim=0)) <= 5
