"""One run of sampling as nodes see it: latents in and out, steps reported, a rough picture at each."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from PIL import Image

from safelight.media.errors import UnreadableWeights
from safelight.models.checkpoint import load_tiny_autoencoder
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import Guider
from safelight.models.sampling.sample import ChosenSampler, sample
from safelight.models.sampling.samplers.table import FRESH_NOISE_OUTSIDE, SAMPLERS
from safelight.models.weights import UnknownWeights
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

    look = previewer(latent_format)

    def report(step: int, steps: int, denoised: torch.Tensor) -> None:
        run.progress(step, steps, preview=look(denoised))

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


def previewer(latent_format: LatentFormat) -> Callable[[torch.Tensor], Image.Image | None]:
    """As the job's client wants it: by a tiny autoencoder, where its decoder is there; else a pixel for each cell."""
    run = current()
    if run.preview_method == "taesd" and latent_format.taesd:
        with suppress(FileNotFoundError, UnknownWeights, UnreadableWeights):
            path = run.model_path("vae_approx", f"{latent_format.taesd}_decoder.safetensors")
            tiny = load_tiny_autoencoder(latent_format.taesd, decoder=path, encoder=None)
            return lambda denoised: _picture(tiny.decode(latent_format.from_network(denoised[:1]))[0])
    return lambda denoised: rough_picture(denoised, latent_format)


def rough_picture(latent: torch.Tensor, latent_format: LatentFormat) -> Image.Image | None:
    """Of the first item of a latent as the network sees it: a pixel for each cell; none for families without
    factors."""
    if not latent_format.rgb_factors:
        return None
    factors = torch.tensor(latent_format.rgb_factors, device=latent.device, dtype=latent.dtype)
    bias = torch.tensor(latent_format.rgb_bias, device=latent.device, dtype=latent.dtype)
    colors = latent[0].movedim(0, -1) @ factors + bias
    return _picture(((colors + 1) / 2).clamp(0, 1))


def _picture(pixels: torch.Tensor) -> Image.Image:
    """``[H, W, 3]`` in 0..1."""
    return Image.fromarray(pixels.mul(255).to(torch.uint8).cpu().numpy())
