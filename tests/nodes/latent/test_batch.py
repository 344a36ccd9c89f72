"""Batches of latents: what the measured values do not cover."""

import torch

from safelight.nodes.latent.batch import LatentFromBatch, RebatchLatents, RepeatLatentBatch, ReplaceVideoLatentFrames


def latent(batch: int, **rest: object) -> dict[str, object]:
    return {"samples": torch.arange(batch * 16.0).reshape(batch, 4, 2, 2), **rest}


def test_repetitions_get_noise_of_their_own() -> None:
    (repeated,) = RepeatLatentBatch.execute(latent(2, batch_index=[3, 7]), 3).values
    assert repeated["samples"].shape == (6, 4, 2, 2)
    assert repeated["batch_index"] == [3, 7, 8, 12, 13, 17]


def test_masks_are_repeated_in_turn() -> None:
    """As in ComfyUI, with and without channels; samplers repeat masks if there are fewer than latents."""
    for shape in ((2, 1, 4, 4), (2, 4, 4)):
        mask = torch.rand(*shape)
        (repeated,) = RepeatLatentBatch.execute(latent(2, noise_mask=mask), 3).values
        assert torch.equal(repeated["noise_mask"], torch.cat([mask] * 3))


def test_one_mask_stays_one() -> None:
    mask = torch.rand(1, 1, 4, 4)
    (repeated,) = RepeatLatentBatch.execute(latent(2, noise_mask=mask), 2).values
    assert repeated["noise_mask"] is mask


def test_an_item_of_a_batch_with_fewer_masks_gets_the_one_of_its_turn() -> None:
    mask = torch.rand(2, 1, 4, 4)
    (taken,) = LatentFromBatch.execute(latent(4, noise_mask=mask), 3, 1).values
    assert torch.equal(taken["noise_mask"], mask[1:2])


def test_rebatching_keeps_masks_and_makes_them_one_size() -> None:
    mask = torch.zeros(1, 4, 4)
    (batches,) = RebatchLatents.execute([latent(1, noise_mask=mask), latent(1)], [2]).values
    (batch,) = batches
    assert batch["batch_index"] == [0, 1]
    assert RebatchLatents.execute([latent(2, batch_index=[4, 7])], [2]).values[0][0]["batch_index"] == [4, 7]
    assert batch["noise_mask"].shape == (2, 1, 16, 16)
    assert batch["noise_mask"].mean(dim=(1, 2, 3)).tolist() == [0.0, 1.0]


def test_frames_before_the_start_change_nothing() -> None:
    video = {"samples": torch.zeros(1, 4, 3, 2, 2)}
    frames = {"samples": torch.ones(1, 4, 1, 2, 2)}
    assert ReplaceVideoLatentFrames.execute(video, -4, frames).values == (video,)
    assert ReplaceVideoLatentFrames.execute(video, 0).values == (video,)
    (changed,) = ReplaceVideoLatentFrames.execute(video, -3, frames).values
    assert changed["samples"].sum(dim=(0, 1, 3, 4)).tolist() == [16.0, 0.0, 0.0]
