"""Images placed on larger ones: stitching, padding, compositing, tiles."""

import pytest
import torch

from safelight.nodes.image.batch import ImageBatch
from safelight.nodes.image.composite import ImageCompositeMasked
from safelight.nodes.image.layout import ImagePadForOutpaint, ImageStitch
from safelight.nodes.image.tiles import ImageMergeTileList, SplitImageToTileList, tile_starts


def picture(height: int, width: int, channels: int = 3, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(height * width))


def test_stitching_a_single_image_returns_it() -> None:
    image = picture(3, 4)
    assert ImageStitch.execute(image, "up", True, 8, "red").values[0] is image


def test_a_strip_between_images_with_alpha_is_opaque() -> None:
    stitched = ImageStitch.execute(picture(4, 4, 4), "down", True, 2, "green", picture(4, 4)).values[0]
    assert stitched.shape == (1, 10, 4, 4)
    assert stitched[0, 4].tolist() == [[0.0, 1.0, 0.0, 1.0]] * 4
    assert (stitched[0, 6:, :, 3] == 1.0).all()


def test_the_mask_fades_into_the_image_only_at_added_borders() -> None:
    padded, mask = ImagePadForOutpaint.execute(picture(40, 40), 0, 0, 8, 0, 10).values
    assert padded.shape == (1, 40, 48, 3)
    assert (padded[..., 40:, :] == 0.5).all()
    assert (mask[0, :, 40:] == 1.0).all()
    assert (mask[0, :, :31] == 0.0).all()
    inner = mask[0, 0, 30:40]
    assert inner.tolist() == sorted(inner.tolist())
    assert inner[-1].item() == pytest.approx(0.81)


def test_an_opaque_alpha_is_added_to_the_second_image() -> None:
    batch = ImageBatch.execute(picture(5, 5, 4), picture(5, 5, 3)).values[0]
    assert batch.shape == (2, 5, 5, 4)
    assert (batch[1, ..., 3] == 1.0).all()


def test_a_source_without_alpha_covers_a_destination_with_alpha() -> None:
    below = torch.zeros(1, 4, 4, 4)
    result = ImageCompositeMasked.execute(below, torch.ones(1, 2, 2, 3), 3, 3, False).values[0]
    assert result[0, 3, 3].tolist() == [1, 1, 1, 1]
    assert result.sum() == 4
    assert below.sum() == 0


def test_one_mask_serves_a_batch() -> None:
    mask = torch.tensor([[[1.0, 0.0]]])
    pasted = ImageCompositeMasked.execute(torch.zeros(3, 2, 2, 3), torch.ones(1, 1, 2, 3), 0, 1, False, mask).values[0]
    assert pasted[:, 1, 0].eq(1).all()
    assert pasted.sum() == 9


def test_a_negative_place_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        ImageCompositeMasked.execute(torch.zeros(1, 4, 4, 3), torch.ones(1, 2, 2, 3), -1, 0, False)


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "starts"),
    [(100, 64, 0, [0, 36]), (128, 64, 0, [0, 64]), (64, 64, 32, [0]), (10, 64, 0, [0]), (160, 64, 32, [0, 32, 64, 96])],
)
def test_tiles_begin(length: int, tile: int, overlap: int, starts: list[int]) -> None:
    assert list(tile_starts(length, tile, overlap)) == starts


@pytest.mark.parametrize(("height", "width", "overlap"), [(100, 150, 0), (100, 150, 16), (64, 300, 40), (70, 70, 200)])
def test_tiles_put_together_are_the_image(height: int, width: int, overlap: int) -> None:
    image = picture(height, width, batch=2)
    tiles = SplitImageToTileList.execute(image, 64, 64, overlap).values[0]
    assert all(tile.shape == (2, 64, 64, 3) for tile in tiles)
    merged = ImageMergeTileList.execute(tiles, [width], [height], [overlap]).values[0]
    torch.testing.assert_close(merged, image)


def test_too_few_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="1 tiles"):
        ImageMergeTileList.execute([torch.zeros(1, 64, 64, 3)], [100], [100], [0])
