"""One run of sampling as nodes see it: latents in and out, steps reported, a rough picture at each."""

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import Guider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import FRESH_NOISE_OUTSIDE, SAMPLERS
from safelight.nodes.latent.value import Latent
from safelight.nodes.sampling.noise import NoiseSource
from safelight.sdk.context import current


def sampler_named(name: str, options: Mapping[str, Any] | None = None) -> ChosenSampler:
    return ChosenSampler(SAMPLERS[name], options or {}, fresh_noise_outside=name in FRESH_NOISE_OUTSIDE)


def sampled(
    guider: Guider, sampler: ChosenSampler, sigmas: torch.Tensor, latent: Latent, noise: NoiseSource
) -> tuple[Latent, Latent]:
    """The result, and the last prediction of it without noise."""
    run = current()
    latent_format = guider.model.latent_format

    def report(step: int, steps: int, denoised: torch.Tensor) -> None:
        run.progress(step, steps, preview=rough_picture(denoised, latent_format))

    made = sample(
        guider,
        sampler,
        sigmas,
        latent=latent["samples"],
        noise=noise.generate_noise(latent),  # type: ignore[arg-type]
        seed=noise.seed,
        noise_mask=latent.get("noise_mask"),
        on_step=report,
    )
    rest = {key: value for key, value in latent.items() if key != "downscale_ratio_spacial"}
    return {**rest, "samples": made.samples}, {**rest, "samples": made.denoised}


def rough_picture(latent: torch.Tensor, latent_format: LatentFormat) -> Image.Image | None:
    """Of the first item of a latent as the network sees it: a pixel for each cell; none for families without
    factors."""
    if not latent_format.rgb_factors:
        return None
    factors = torch.tensor(latent_format.rgb_factors, device=latent.device, dtype=latent.dtype)
    bias = torch.tensor(latent_format.rgb_bias, device=latent.device, dtype=latent.dtype)
    colors = latent[0].movedim(0, -1) @ factors + bias
    pixels = ((colors + 1) / 2).clamp(0, 1).mul(255).to(torch.uint8).cpu().numpy()
    return Image.fromarray(pixels)
