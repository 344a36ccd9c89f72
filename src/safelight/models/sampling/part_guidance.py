"""Guidance with a strength of its own for each part of a latent of several parts."""

import math
from dataclasses import dataclass

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network import Predict
from safelight.models.sampling.entries import with_matching_areas
from safelight.models.sampling.guidance import (
    CfgGuider,
    Conditioning,
    Denoiser,
    Guidance,
    Reevaluate,
    SamplingSetup,
    options_of,
    predictions,
)
from safelight.models.sampling.packed import PackedNetwork
from safelight.models.sampling.samplers.sampling_context import Denoised


@dataclass(frozen=True, eq=False)
class PartGuider:
    """``scales``: of the parts in turn. A latent of one part uses the first."""

    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    scales: tuple[float, ...]

    def denoiser(self, predict: Predict, setup: SamplingSetup) -> Denoiser:
        network = self.model.network
        first = self.scales[0]
        if not isinstance(network, PackedNetwork) or all(math.isclose(first, scale) for scale in self.scales):
            return CfgGuider(self.model, self.positive, self.negative, first).denoiser(predict, setup)
        scale = torch.cat(
            [
                torch.full((math.prod(shape[1:]),), own)
                for shape, own in zip(network.packing.shapes, self.scales, strict=True)
            ]
        ).to(setup.device)
        positive, negative = with_matching_areas(
            setup.entries(self.positive, self.model), setup.entries(self.negative, self.model, is_negative=True)
        )

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            seen, avoided = predictions(predict, self.model, (positive, negative), x, sigma)
            guided = avoided + (seen - avoided) * scale
            guidance = Guidance(x, sigma, seen, avoided, first, self.model, _no_reevaluation)
            for change in options_of(self.model).after:
                guided = change(guidance, guided)
            return Denoised(guided, avoided)

        return denoise


def _no_reevaluation(*of_step: object, **more: object) -> torch.Tensor:
    raise NotImplementedError("guidance by part does not evaluate the network again")


_: Reevaluate = _no_reevaluation
