import pytest
import torch

from safelight.nodes.mask.alpha import COMPOSITES, JoinImageWithAlpha, PorterDuffImageComposite, SplitImageWithAlpha
from safelight.nodes.mask.basic import BatchMasksNode, ImageColorToMask, ImageToMask, MaskToImage
from safelight.nodes.mask.shape import FeatherMask, GrowMask, MaskComposite


def dot(size: int) -> torch.Tensor:
    mask = torch.zeros(1, size, size)
    mask[0, size // 2, size // 2] = 1.0
    return mask


@pytest.mark.parametrize(("tapered", "area"), [(True, 25), (False, 49)])
def test_a_dot_grows_to_a_diamond_or_a_square(tapered: bool, area: int) -> None:
    assert GrowMask.execute(dot(9), 3, tapered).values[0].sum() == area


@pytest.mark.parametrize("tapered", [True, False])
def test_shrinking_is_growing_of_the_opposite(tapered: bool) -> None:
    mask = torch.rand(2, 8, 9, generator=torch.Generator().manual_seed(2))
    shrunk = GrowMask.execute(mask, -2, tapered).values[0]
    torch.testing.assert_close(shrunk, 1 - GrowMask.execute(1 - mask, 2, tapered).values[0])


@pytest.mark.parametrize("tapered", [True, False])
def test_growing_without_end_fills_the_mask(tapered: bool) -> None:
    assert (GrowMask.execute(dot(30), 16384, tapered).values[0] == 1.0).all()


def test_feathering_at_the_end_is_shifted_as_in_comfyui() -> None:
    faded = FeatherMask.execute(torch.ones(1, 1, 6), left=0, top=0, right=3, bottom=0).values[0]
    torch.testing.assert_close(faded, torch.tensor([[[1 / 3, 1.0, 1.0, 1.0, 1.0, 2 / 3]]]))


def test_what_lies_outside_is_left_away() -> None:
    result = MaskComposite.execute(torch.zeros(1, 4, 4), torch.ones(1, 3, 3), 2, 3, "add").values[0]
    assert result.nonzero().tolist() == [[0, 3, 2], [0, 3, 3]]


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="'divide'"):
        MaskComposite.execute(dot(3), dot(3), 0, 0, "divide")


def test_a_missing_channel_is_named() -> None:
    with pytest.raises(ValueError, match="no alpha channel"):
        ImageToMask.execute(torch.zeros(1, 2, 2, 3), "alpha")


def test_colors_are_compared_in_8_bits() -> None:
    image = torch.tensor([[[[1.0, 0.5, 0.0], [1.0, 127.4 / 255, 0.2 / 255], [1.2, 0.5, 0.1]]]])
    assert ImageColorToMask.execute(image, 0xFF8000).values[0].tolist() == [[[1.0, 0.0, 0.0]]]
    assert ImageColorToMask.execute(image, 0xFF7F00).values[0].tolist() == [[[0.0, 1.0, 0.0]]]


def test_a_mask_without_a_batch_becomes_an_image() -> None:
    assert MaskToImage.execute(torch.ones(3, 5)).values[0].shape == (1, 3, 5, 3)


def test_masks_of_other_sizes_are_fitted_to_the_first() -> None:
    masks = {"mask0": torch.ones(1, 4, 6), "mask1": torch.ones(2, 9, 9), "mask2": torch.ones(4, 6)}
    assert BatchMasksNode.execute(masks).values[0].shape == (4, 4, 6)


def test_splitting_undoes_joining() -> None:
    image, mask = torch.rand(2, 5, 6, 3), (torch.rand(2, 5, 6) > 0.5).float()
    (joined,) = JoinImageWithAlpha.execute(image, mask).values
    colors, alpha = SplitImageWithAlpha.execute(joined).values
    assert torch.equal(colors, image)
    assert torch.equal(alpha, mask)


@pytest.mark.parametrize("mode", COMPOSITES)
def test_composites_of_opaque_and_transparent_pixels(mode: str) -> None:
    """Where both are opaque, or one is transparent, every rule is one of: source, destination, both, nothing."""
    source, below = torch.full((1, 1, 4, 3), 0.75), torch.full((1, 1, 4, 3), 0.25)
    source_mask = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])  # 1 is transparent
    below_mask = torch.tensor([[[0.0, 1.0, 0.0, 1.0]]])
    image, mask = PorterDuffImageComposite.execute(source, source_mask, below, below_mask, mode).values
    both, only_source, only_below = {
        "ADD": (1.0, 0.75, 0.25),
        "CLEAR": (None, None, None),
        "DARKEN": (0.25, 0.75, 0.25),
        "DST": (0.25, None, 0.25),
        "DST_ATOP": (0.25, 0.75, None),
        "DST_IN": (0.25, None, None),
        "DST_OUT": (None, None, 0.25),
        "DST_OVER": (0.25, 0.75, 0.25),
        "LIGHTEN": (0.75, 1.0, 0.5),  # the formula adds unmatched areas twice
        "MULTIPLY": (0.1875, None, None),
        "OVERLAY": (0.375, 1.0, 0.0),
        "SCREEN": (0.8125, 0.75, 0.25),
        "SRC": (0.75, 0.75, None),
        "SRC_ATOP": (0.75, None, 0.25),
        "SRC_IN": (0.75, None, None),
        "SRC_OUT": (None, 0.75, None),
        "SRC_OVER": (0.75, 0.75, 0.25),
        "XOR": (None, 0.75, 0.25),
    }[mode]
    for value, pixel, transparency in zip(
        (both, only_source, only_below, None), image[0, 0, :, 0].tolist(), mask[0, 0].tolist(), strict=True
    ):
        assert transparency == (value is None)
        assert pixel == pytest.approx(value or 0.0)
