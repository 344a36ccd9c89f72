"""Conditioning of Flux: the options ``guidance``, ``pooled_output``, ``reference_latents``, and for networks that see a
second picture ``concat_latent_image`` and ``concat_mask``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from safelight.models.families.flux.flux_module import FluxInputs, FluxShape
from safelight.models.fitting import fit_planes
from safelight.models.inputs import WrongConditioning, repeated
from safelight.models.latent_format import LatentFormat

GUIDANCE = 3.5
"""If no node sets it."""
PIXELS = 8
"""Image pixels per side of a latent pixel."""


@dataclass(frozen=True)
class FluxConditioning:
    """``title``: of the network, for messages."""

    shape: FluxShape
    latent_format: LatentFormat
    title: str

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> FluxInputs:
        if context.shape[-1] != self.shape.context:
            raise WrongConditioning(
                f"{self.title} needs embeddings with {self.shape.context} features (of T5 XXL with CLIP L), but the "
                f"conditioning has {context.shape[-1]}; load its text encoders with type 'flux'"
            )
        guidance, pooled = options.get("guidance", GUIDANCE), options.get("pooled_output")
        return FluxInputs(
            context,
            pooled=None if pooled is None else pooled.to(device, torch.float32),
            guidance=None if guidance is None else torch.tensor([float(guidance)], device=device),
            concat=self._concat(options, shape, device),
            references=tuple(
                self.latent_format.to_network(latent.to(device, torch.float32))
                for latent in options.get("reference_latents") or ()
            ),
            reference_method=options.get("reference_latents_method") or "offset",
        )

    def _concat(self, options: Mapping[str, Any], shape: torch.Size, device: torch.device) -> torch.Tensor | None:
        """The second picture, and for fill networks the mask, whose pixels of one latent pixel are channels."""
        if self.shape.channels <= self.shape.out_channels:
            return None
        size = (shape[-2], shape[-1])
        image = options.get("concat_latent_image")
        if image is None:
            image = torch.zeros(1, self.shape.out_channels, *size)
        planes = self.latent_format.to_network(fit_planes(image.to(device, torch.float32), size, mode="bilinear"))
        if self.shape.channels <= 2 * self.shape.out_channels:
            return repeated(planes, shape[0])
        mask = options.get("concat_mask", options.get("noise_mask"))
        if mask is None:
            mask = torch.ones(1, 1, *size)
        mask = mask.to(device, torch.float32).mean(dim=1, keepdim=True)
        pixels = fit_planes(mask, (size[0] * PIXELS, size[1] * PIXELS), mode="bilinear")
        squares = pixels.reshape(-1, size[0], PIXELS, size[1], PIXELS)
        as_channels = squares.permute(0, 2, 4, 1, 3).reshape(-1, PIXELS * PIXELS, *size)
        return torch.cat((repeated(planes, shape[0]), repeated(as_channels, shape[0])), dim=1)
