import pytest
import torch

from safelight.nodes.image.canny import find_edges
from safelight.nodes.image.filters import ImageBlur, ImageSharpen, Morphology, dilate, erode

IMAGE = torch.rand(2, 12, 9, 3, generator=torch.Generator().manual_seed(3))


def test_blur_keeps_a_uniform_color() -> None:
    plain = torch.full((1, 8, 8, 4), 0.25)
    torch.testing.assert_close(ImageBlur.execute(plain, 3, 2.0).values[0], plain)


def test_sharpening_by_nothing_keeps_the_image() -> None:
    torch.testing.assert_close(ImageSharpen.execute(IMAGE, 2, 1.0, 0.0).values[0], IMAGE)


def test_a_radius_beyond_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 x 10"):
        ImageBlur.execute(IMAGE, 9, 1.0)


@pytest.mark.parametrize("size", [3, 4, 5, 30])
def test_opening_and_closing_enclose_the_image(size: int) -> None:
    opened, closed = (Morphology.execute(IMAGE, name, size).values[0] for name in ("open", "close"))
    assert (opened <= IMAGE).all()
    assert (closed >= IMAGE).all()


@pytest.mark.parametrize("size", [3, 4])
def test_opening_does_not_shift_what_is_larger_than_the_square(size: int) -> None:
    block = torch.zeros(1, 1, 16, 16)
    block[..., 4:10, 5:12] = 1.0
    assert torch.equal(dilate(erode(block, size), size), block)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("falling", [False, True])
def test_a_clean_step_is_one_line_on_its_near_side(turned: bool, falling: bool) -> None:
    step = torch.zeros(1, 1, 12, 16)
    step[..., 7:] = 0.68
    step = 0.68 - step if falling else step
    edges = find_edges(step.mT if turned else step, 0.4, 0.8)
    edges = edges.mT if turned else edges
    assert edges[0, 0].any(dim=0).nonzero().flatten().tolist() == [6]
    assert edges[0, 0, :, 6].all()


def test_a_plain_image_has_no_edges() -> None:
    assert not find_edges(torch.full((1, 1, 9, 9), 0.5), 0.01, 0.01).any()


def test_weak_edges_count_only_where_they_join_a_strong_one() -> None:
    steps = torch.zeros(1, 1, 24, 32)
    steps[..., :12, 8:] = 0.5  # a step that fades out downwards stays one edge
    steps[..., 12:, 8:] = 0.2
    steps[..., 24:] += 0.2  # a weak step on its own
    edges = find_edges(steps, 0.3, 0.9)[0, 0]
    assert edges[-1, 7]
    assert not edges[-1, 23]
