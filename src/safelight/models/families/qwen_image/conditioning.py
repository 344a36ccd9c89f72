"""Embeddings and reference pictures as inputs of the network. Options: ``reference_latents`` and
``reference_latents_method``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.qwen_image.network import QwenImageInputs
from safelight.models.inputs import WrongConditioning
from safelight.models.latent_format import LatentFormat


@dataclass(frozen=True)
class QwenImageConditioning:
    """``model``: the network in messages. ``features``: of an embedding. ``method``: how reference pictures are placed
    if no node says it."""

    model: str
    features: int
    method: str
    latent_format: LatentFormat

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> QwenImageInputs:
        if context.shape[-1] != self.features:
            raise WrongConditioning(
                f"{self.model} needs embeddings with {self.features} features (of Qwen2.5-VL 7B), but the conditioning "
                f"has {context.shape[-1]}; load its text encoder with type 'qwen_image'"
            )
        references = tuple(self._reference(latent, device) for latent in options.get("reference_latents") or ())
        return QwenImageInputs(context, references, options.get("reference_latents_method") or self.method)

    def _reference(self, latent: torch.Tensor, device: torch.device) -> torch.Tensor:
        frames = latent if latent.dim() == 5 else latent[:, :, None]
        return self.latent_format.to_network(frames.to(device, torch.float32))
