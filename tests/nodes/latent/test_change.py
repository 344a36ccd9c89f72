"""Changes to latents: what the measured values do not cover."""

import torch

from safelight.nodes.latent.arithmetic import LatentInterpolate
from safelight.nodes.latent.audio_video import LTXVConcatAVLatent, LTXVSeparateAVLatent
from safelight.nodes.latent.empty import EmptyHiDreamO1LatentImage
from safelight.nodes.latent.empty_video import EmptyAceStep15LatentAudio
from safelight.nodes.latent.normalize import NormalizeVideoLatentStart
from safelight.nodes.latent.transform import LatentCrop


def test_interpolation_treats_batch_items_equally() -> None:
    one, other = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 5, 5)
    (together,) = LatentInterpolate.execute({"samples": one}, {"samples": other}, 0.3).values
    for i in range(3):
        (alone,) = LatentInterpolate.execute({"samples": one[i : i + 1]}, {"samples": other[i : i + 1]}, 0.3).values
        assert torch.equal(together["samples"][i : i + 1], alone["samples"])


def test_a_crop_of_a_small_latent_starts_at_its_edge() -> None:
    samples = torch.rand(1, 4, 6, 6)
    (cut,) = LatentCrop.execute({"samples": samples}, 64, 64, 0, 0).values
    assert torch.equal(cut["samples"], samples)


def test_first_frames_move_towards_the_others_and_not_too_far() -> None:
    """The bounds of Kandinsky 5; ``tests/golden`` has ComfyUI's numbers."""
    video = torch.randn(1, 4, 6, 8, 8)
    (evened,) = NormalizeVideoLatentStart.execute({"samples": video}, 2, 4).values
    assert torch.equal(evened["samples"][:, :, 2:], video[:, :, 2:])
    for frame in evened["samples"][0, :, :2].unbind(1):
        torch.testing.assert_close(frame.mean(), video[:, :, 2:].mean())
        torch.testing.assert_close(frame.std(), video[:, :, 2:].std())
    video[:, :, 2:] = video[:, :, 2:] * 5 + 9
    before = video[0, :, 0]
    (evened,) = NormalizeVideoLatentStart.execute({"samples": video}, 2, 4).values
    frame = evened["samples"][0, :, 0]
    torch.testing.assert_close(frame.mean(), before.mean() + 0.35)
    torch.testing.assert_close(frame.std(), before.std() + 0.5)


def test_one_frame_stays() -> None:
    latent = {"samples": torch.rand(1, 4, 1, 3, 3)}
    assert NormalizeVideoLatentStart.execute(latent, 4, 5).values == (latent,)


def test_masks_apply_to_video_and_audio() -> None:
    video = {"samples": torch.rand(1, 8, 2, 4, 4)}
    sound = {"samples": torch.rand(1, 8, 6, 16), "noise_mask": torch.zeros(1, 8, 6, 16), "type": "audio"}
    (joined,) = LTXVConcatAVLatent.execute(video, sound).values
    first, second = LTXVSeparateAVLatent.execute(joined).values
    assert torch.equal(first["samples"], video["samples"])
    assert torch.equal(first["noise_mask"], torch.ones_like(video["samples"]))
    assert torch.equal(second["noise_mask"], sound["noise_mask"])


def test_sizes_of_newer_models() -> None:
    (picture,) = EmptyHiDreamO1LatentImage.execute(96, 64, 2).values
    assert picture["samples"].shape == (2, 3, 64, 96)
    (sound,) = EmptyAceStep15LatentAudio.execute(2.5, 1).values
    assert sound["samples"].shape == (1, 64, 62)
    assert sound["type"] == "audio"
