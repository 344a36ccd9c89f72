"""Conditioning of Flux 2: the options ``guidance`` and ``reference_latents``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from safelight.models.families.flux2.flux2_module import Flux2Inputs, Flux2Shape
from safelight.models.inputs import WrongConditioning

GUIDANCE = 3.5
"""If no node sets it."""
LENGTH = 512
"""Shorter prompts follow as many empty tokens as are missing."""


@dataclass(frozen=True)
class Flux2Conditioning:
    """``title``: of the network, for messages."""

    shape: Flux2Shape
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> Flux2Inputs:
        if context.shape[-1] != self.shape.context:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.shape.context} features (three layers of Mistral Small 3 or "
                f"Qwen3), but the conditioning has {context.shape[-1]}; load the text encoder that belongs to it with "
                "type 'flux2'"
            )
        guidance = options.get("guidance", GUIDANCE)
        return Flux2Inputs(
            functional.pad(context, (0, 0, max(0, LENGTH - context.shape[1]), 0)),
            guidance=None if guidance is None else torch.tensor([float(guidance)], device=device),
            references=tuple(latent.to(device, torch.float32) for latent in options.get("reference_latents") or ()),
            reference_method=options.get("reference_latents_method") or "index",
        )
