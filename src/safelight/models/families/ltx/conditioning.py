"""Conditioning of LTX networks. Options: ``attention_mask``, ``frame_rate``, ``noise_mask`` or ``concat_mask``, and
``keyframe_idxs`` (the positions of guides)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.ltx.video_network import LtxInputs
from safelight.models.inputs import WrongConditioning, repeated
from safelight.models.nested import NestedTensor, first_part

FRAME_RATE = 25.0
"""If no node sets it."""


@dataclass(frozen=True)
class LtxConditioning:
    """``title``: of the network, for messages. ``features``: of an embedding; ``encoder``: what makes such."""

    features: int
    title: str
    encoder: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> LtxInputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.features} features (of {self.encoder}), but the "
                f"conditioning has {context.shape[-1]}"
            )
        mask, guides = options.get("attention_mask"), options.get("keyframe_idxs")
        paint = options.get("concat_mask", options.get("noise_mask"))
        sound = paint.tensors[1] if isinstance(paint, NestedTensor) else None
        picture = None if paint is None else first_part(paint)
        return LtxInputs(
            context,
            mask=None if mask is None or mask.all() else mask.to(device),
            frame_rate=float(options.get("frame_rate") or FRAME_RATE),
            paint=None if picture is None else repeated(picture.to(device, torch.float32), shape[0]),
            audio_paint=None if sound is None else repeated(sound.to(device, torch.float32), shape[0]),
            guides=None if guides is None else guides.to(device),
        )
