"""Embeddings and reference pictures as inputs of the network. Option: ``reference_latents``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.flux3.network import Flux3Inputs, Flux3Shape
from safelight.models.inputs import WrongConditioning


@dataclass(frozen=True)
class Flux3Conditioning:
    """``title``: of the network, for messages."""

    shape: Flux3Shape
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> Flux3Inputs:
        if context.shape[-1] != self.shape.context:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.shape.context} features (eight states of Qwen3-VL 4B), but "
                f"the conditioning has {context.shape[-1]}; load its text encoder with type 'flux3'"
            )
        references = tuple(one.to(device, torch.float32) for one in options.get("reference_latents") or ())
        for one in references:
            if one.shape[1] != self.shape.reference_channels:
                raise WrongConditioning(
                    f"{self.title} needs reference latents with {self.shape.reference_channels} channels, not "
                    f"{one.shape[1]}; encode them with the VAE of Flux 2"
                )
        return Flux3Inputs(context, references, tuple(options.get("sample_sigmas") or ()))
