"""Embeddings and their mask as inputs of the network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.lumina.network import NextDiTInputs
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class NextDiTConditioning:
    """``model``: the network in messages; ``encoder``: its text encoder. ``features``: of an embedding."""

    model: str
    encoder: str
    features: int

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> NextDiTInputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (of {self.encoder}), but the "
                f"conditioning has {context.shape[-1]}; load its text encoder with type 'lumina2'"
            )
        mask = options.get("attention_mask")
        hides = mask is not None and mask.shape[1] == context.shape[1] and not bool(mask.all())
        return NextDiTInputs(context, mask.to(device) if hides and mask is not None else None)
