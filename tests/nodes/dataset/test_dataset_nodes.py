import pytest
import torch

from safelight.nodes.dataset.adjust import CenterCropImages, RandomCropImages, ResizeImagesByLongerEdge
from safelight.nodes.dataset.collection import ImageDeduplication, ImageGrid, ResolutionBucket, ShuffleImageTextDataset


def pictures(count: int, height: int = 12, width: int = 10) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.rand(1, height, width, 3, generator=generator) for _ in range(count)]


def test_a_batch_is_cut_image_by_image() -> None:
    batch = (torch.cat(pictures(3)) * 255).round() / 255
    cut = CenterCropImages.execute(batch, 4, 6).values[0]
    torch.testing.assert_close(cut, batch[:, 3:9, 3:7], atol=1.01 / 255, rtol=0)


def test_a_seed_gives_one_place_whatever_its_length() -> None:
    batch = torch.cat(pictures(2))
    places = [RandomCropImages.execute(batch, 3, 3, seed).values[0] for seed in (9, 9, 9 + 2**32 - 1, 2**64 - 1)]
    assert torch.equal(places[0], places[1])
    assert torch.equal(places[0], places[2])
    assert places[3].shape == (2, 3, 3, 3)


def test_an_image_smaller_than_the_cut_stays() -> None:
    assert CenterCropImages.execute(pictures(1)[0], 100, 100).values[0].shape == (1, 12, 10, 3)


def test_the_longer_edge_is_met_exactly() -> None:
    assert ResizeImagesByLongerEdge.execute(pictures(1, 7, 21)[0], 9).values[0].shape == (1, 3, 9, 3)
    assert ResizeImagesByLongerEdge.execute(pictures(1, 8, 8)[0], 9).values[0].shape == (1, 9, 9, 3)


def test_similar_images_are_left_out() -> None:
    one, other = pictures(2)
    brighter = (one * 0.9 + 0.1).clamp(0, 1)
    assert ImageDeduplication.execute([one, other, brighter, one], [0.95]).values[0] == [one, other]
    assert ImageDeduplication.execute([one, other], [0.0]).values[0] == [one]


def test_images_and_texts_stay_together() -> None:
    images = pictures(6)
    shuffled, texts = ShuffleImageTextDataset.execute(images, list("abcdef"), [3]).values
    assert sorted(texts) == list("abcdef")
    assert all(image is images["abcdef".index(text)] for image, text in zip(shuffled, texts, strict=True))


def test_lists_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images but 1 texts"):
        ShuffleImageTextDataset.execute(pictures(2), ["a"], [0])
    with pytest.raises(ValueError, match="1 latents but 0 conditionings"):
        ResolutionBucket.execute([{"samples": torch.zeros(1, 4, 2, 2)}], [])


def test_a_batch_fills_the_cells_of_a_grid() -> None:
    grid = ImageGrid.execute([torch.ones(3, 4, 4, 3)], [2], [32], [40], [2]).values[0]
    assert grid.shape == (1, 82, 66, 3)
    assert grid.sum() == 3 * 32 * 40 * 3
