"""Conditioning nodes: what the measured values do not cover."""

from typing import Any

import torch

from safelight.nodes.conditioning.camera import WanCameraEmbedding
from safelight.nodes.conditioning.cascade import HunyuanVideo15SuperResolution
from safelight.nodes.conditioning.guidance import FluxKontextMultiReferenceLatentMethod
from safelight.nodes.conditioning.ltxv import LTXVCropGuides
from safelight.nodes.conditioning.properties import ConditioningSetDefaultCombine, ConditioningSetProperties
from safelight.nodes.conditioning.tracks import GenerateTracks

PROMPT: list[list[Any]] = [[torch.zeros(1, 3, 4), {"strength": 0.5}]]


class Hooks:
    def __init__(self, *names: str) -> None:
        self.names = names

    def clone_and_combine(self, other: "Hooks") -> "Hooks":
        return Hooks(*self.names, *other.names)


def test_hooks_add_up() -> None:
    (first,) = ConditioningSetProperties.execute(PROMPT, 1.0, "default", hooks=Hooks("a")).values
    assert first[0][1]["hooks"].names == ("a",)
    (both,) = ConditioningSetDefaultCombine.execute(PROMPT, first, hooks=Hooks("b")).values
    assert both[1][1]["hooks"].names == ("a", "b")
    assert both[1][1]["default"] is True
    assert PROMPT[0][1] == {"strength": 0.5}


def test_the_method_of_two_papers_has_one_name() -> None:
    (conditioning,) = FluxKontextMultiReferenceLatentMethod.execute(PROMPT, "uxo/uno").values
    assert conditioning[0][1]["reference_latents_method"] == "uxo"


def test_guide_frames_are_cut_off_at_the_end() -> None:
    positions = torch.tensor([8, 8, 16, 16])[None, None, :, None].expand(1, 3, 4, 2)
    positive = [[torch.zeros(1, 3, 4), {"keyframe_idxs": positions}]]
    latent = {"samples": torch.rand(1, 8, 5, 2, 2)}
    kept_positive, _, kept = LTXVCropGuides.execute(positive, PROMPT, latent).values
    assert torch.equal(kept["samples"], latent["samples"][:, :, :3])
    assert kept["noise_mask"].shape == (1, 1, 3, 1, 1)
    assert kept_positive[0][1]["keyframe_idxs"] is None


class HalfVae:
    """Encodes a picture as halves, at a sixteenth of its size."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        batch, height, width, _ = pixels.shape
        return torch.full((batch, 4, 1, height // 16, width // 16), 0.5)


def test_a_start_image_is_put_into_the_first_frame() -> None:
    latent = {"samples": torch.ones(1, 4, 3, 2, 2)}
    start = torch.rand(1, 40, 40, 3)
    positive, _, _ = HunyuanVideo15SuperResolution.execute(
        PROMPT, PROMPT, latent, 0.7, vae=HalfVae(), start_image=start, clip_vision_output="seen"
    ).values
    given = positive[0][1]["concat_latent_image"]
    assert given[0, :4, 0].unique().tolist() == [0.5]
    assert given[0, :4, 1:].unique().tolist() == [0.0]
    assert given[0, 4, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert given[0, 5:].unique().tolist() == [1.0]
    assert positive[0][1]["clip_vision_output"] == "seen"


def test_panning_down_is_the_opposite_of_panning_up() -> None:
    up, down = (WanCameraEmbedding.execute(pose, 32, 32, 5).values[0] for pose in ("Pan Up", "Pan Down"))
    moments = [embedding.reshape(6, 4, 2, 32, 32)[:3] for embedding in (up, down)]
    assert torch.equal(moments[0], -moments[1])
    assert moments[0][0].any()
    assert torch.equal(up.reshape(6, 4, 2, 32, 32)[3:], down.reshape(6, 4, 2, 32, 32)[3:])


def test_a_mask_says_in_which_frames_tracks_show() -> None:
    mask = torch.zeros(4, 8, 8)
    mask[1, 2, 3] = 0.5
    tracks, length = GenerateTracks.execute(
        64, 32, 0.1, 0.2, 0.1, 0.2, 4, 3, 0.05, False, 0.5, 0.5, "linear", track_mask=mask
    ).values
    assert length == 4
    assert tracks["track_visibility"].tolist() == [[False], [True], [False], [False]]  # for all tracks
    assert tracks["track_path"].isfinite().all()  # start and end are the same point
