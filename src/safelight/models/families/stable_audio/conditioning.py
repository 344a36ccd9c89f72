"""Conditioning of Stable Audio: the options ``seconds_start`` and ``seconds_total``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.stable_audio.network import StableAudioInputs
from safelight.models.inputs import WrongConditioning

POSITIONS_PER_SECOND = 21.53
"""Of a latent, for the duration if no node sets it."""


@dataclass(frozen=True)
class StableAudioConditioning:
    """``title``: of the network, for messages. ``features``: of an embedding."""

    features: int
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> StableAudioInputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.features} features (of T5 base), but the conditioning has "
                f"{context.shape[-1]}; load its text encoder with type 'stable_audio'"
            )
        start = float(options.get("seconds_start", 0.0))
        total = float(options.get("seconds_total", int(shape[-1] / POSITIONS_PER_SECOND)))
        return StableAudioInputs(context, torch.tensor([start], device=device), torch.tensor([total], device=device))
