"""Embeddings and their mask as inputs of the network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.krea2.network import Krea2Inputs
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class Krea2Conditioning:
    """``model``: the network in messages. ``features``: of a token, all its states together."""

    model: str
    features: int

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> Krea2Inputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (twelve states of Qwen3-VL 4B), but the "
                f"conditioning has {context.shape[-1]}; load its text encoder with type 'krea2'"
            )
        mask = options.get("attention_mask")
        hides = mask is not None and mask.shape[1] == context.shape[1] and not bool(mask.all())
        return Krea2Inputs(context, mask.to(device) if hides and mask is not None else None)
