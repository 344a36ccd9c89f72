"""Conditioning of Stable Diffusion 3: the option ``pooled_output``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.sd3.mmdit_module import MMDiTInputs, MMDiTShape
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class SD3Conditioning:
    """``title``: of the network, for messages."""

    shape: MMDiTShape
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> MMDiTInputs:
        pooled = options.get("pooled_output")
        found = (context.shape[-1], self.shape.pooled if pooled is None else pooled.shape[-1])
        if found != (self.shape.context, self.shape.pooled):
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.shape.context} features and a pooled output with "
                f"{self.shape.pooled} (of CLIP L, CLIP G and T5 XXL), but the conditioning has {found[0]} and "
                f"{found[1]}; load its text encoders with type 'sd3'"
            )
        return MMDiTInputs(context, None if pooled is None else pooled.to(device, torch.float32))
