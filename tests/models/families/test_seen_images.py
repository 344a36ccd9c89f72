"""Images as a pooled condition."""

import torch

from safelight.models.families.stable_diffusion.seen_images import SeenImage, pooled_images

SEEN = torch.randn(1, 1280, generator=torch.Generator().manual_seed(4))


def test_without_augmentation_an_embedding_is_almost_itself() -> None:
    pooled = pooled_images([SeenImage(SEEN, 1.0, 0.0)], seed=3)
    assert pooled.shape == (1, 1280)
    assert 0 < (pooled - SEEN).std() < 0.01


def test_augmentation_replaces_the_embedding_by_noise_of_the_seed() -> None:
    one, again, other = (pooled_images([SeenImage(SEEN, 1.0, 1.0)], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, torch.randn(1, 1280, generator=torch.Generator().manual_seed(3)), rtol=0, atol=0.1)


def test_several_images_add_up_by_their_strength() -> None:
    other = SEEN.flip(-1)
    images = [SeenImage(SEEN, 0.5, 0.0), SeenImage(other, 2.0, 0.0)]
    torch.testing.assert_close(pooled_images(images, seed=3), 0.5 * SEEN + 2 * other, rtol=0, atol=0.1)
