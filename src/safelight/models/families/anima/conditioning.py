"""The prompt's embeddings and tokens as inputs of the network. Options: ``t5xxl_ids`` and ``t5xxl_weights``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.anima.network import AnimaInputs
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class AnimaConditioning:
    """``model``: the network in messages. ``features``: of the language model's states."""

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
    ) -> AnimaInputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (of Qwen3 0.6B), but the conditioning "
                f"has {context.shape[-1]}"
            )
        tokens, weights = options.get("t5xxl_ids"), options.get("t5xxl_weights")
        if tokens is None:
            return AnimaInputs(context)
        rows = tokens.reshape(1, -1).to(device).long()
        return AnimaInputs(context, rows, None if weights is None else weights.reshape(1, -1).to(device))
