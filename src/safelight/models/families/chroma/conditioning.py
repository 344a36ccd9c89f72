"""Conditioning of Chroma: the option ``guidance``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.chroma.chroma_module import ChromaInputs, ChromaShape
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class ChromaConditioning:
    """``title``: of the network, for messages."""

    shape: ChromaShape
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> ChromaInputs:
        if context.shape[-1] != self.shape.context:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.shape.context} features (of T5 XXL), but the conditioning "
                f"has {context.shape[-1]}; load its text encoder with type 'chroma'"
            )
        return ChromaInputs(context, torch.tensor([float(options.get("guidance") or 0.0)], device=device))
