"""One run of sampling for nodes: latents in and out, with progress and previews."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from safelight.media.media_errors import UnreadableWeights
from safelight.models.checkpoint import load_tiny_autoencoder
from safelight.models.latent_format import LatentFormat
from safelight.models.nested import Samples, first_part
from safelight.models.sampling.guidance import Guider
from safelight.models.sampling.sample import ChosenSampler, fitting, sample
from safelight.models.sampling.samplers.table import FRESH_NOISE_OUTSIDE, SAMPLERS
from safelight.models.weights import UnknownWeights
from safelight.nodes.latent.samples import DOWNSCALE, SEED, Latent
from safelight.nodes.sampling.noise import NoiseSource
from safelight.sdk.context import current


def sampler_named(name: str, options: Mapping[str, Any] | None = None) -> ChosenSampler:
    return ChosenSampler(SAMPLERS[name], options or {}, fresh_noise_outside=name in FRESH_NOISE_OUTSIDE)


def run_sampling(
    guider: Guider, sampler: ChosenSampler, sigmas: torch.Tensor, latent: Latent, noise: NoiseSource
) -> tuple[Latent, Latent]:
    """Run the sampler. Returns the result, and the last noise-free prediction of it."""
    run = current()
    latent_format = guider.model.latent_format

    fitted: Latent = {
        **latent,
        "samples": fitting(latent["samples"], latent_format, downscale=_downscale(latent)),
    }
    render = previewer(latent_format)

    def report(step: int, steps: int, denoised: Samples) -> None:
        run.progress(step, steps, preview=render(first_part(denoised)))

    result = sample(
        guider,
        sampler,
        sigmas,
        latent=fitted["samples"],
        noise=noise.generate_noise(fitted),
        seed=noise.seed,
        noise_mask=latent.get("noise_mask"),
        on_step=report,
    )
    rest = {key: value for key, value in latent.items() if key != DOWNSCALE}
    if latent_format.has_noise_in_decoder:
        rest[SEED] = noise.seed
    return {**rest, "samples": result.samples}, {**rest, "samples": result.denoised}


def _downscale(latent: Latent) -> int | None:
    """Image pixels per side of a latent pixel, where known: a latent with 4 channels is of ``EmptyLatentImage``."""
    samples = latent["samples"]
    of_channels = 8 if isinstance(samples, torch.Tensor) and samples.shape[1] == 4 else None
    return latent.get(DOWNSCALE, of_channels)


def previewer(latent_format: LatentFormat) -> Callable[[torch.Tensor], Image.Image | None]:
    """Returns a function that renders previews as the client chose: with a tiny autoencoder if its decoder is
    installed, otherwise one pixel per latent pixel."""
    run = current()
    if run.preview_method == "taesd" and latent_format.taesd:
        with suppress(FileNotFoundError, UnknownWeights, UnreadableWeights):
            path = run.model_path("vae_approx", f"{latent_format.taesd}_decoder.safetensors")
            tiny = load_tiny_autoencoder(latent_format.taesd, decoder=path, encoder=None)
            return lambda denoised: _to_image(tiny.decode(latent_format.from_network(denoised[:1]))[0])
    return lambda denoised: rough_preview(denoised, latent_format)


def rough_preview(latent: torch.Tensor, latent_format: LatentFormat) -> Image.Image | None:
    """Render the first item of a latent as the network sees it, one pixel per latent pixel; ``None`` for families
    without color factors."""
    if not latent_format.rgb_factors:
        return None
    factors = torch.tensor(latent_format.rgb_factors, device=latent.device, dtype=latent.dtype)
    bias = torch.tensor(latent_format.rgb_bias, device=latent.device, dtype=latent.dtype)
    first = latent[0] if latent.dim() == 4 else latent[0, :, 0]  # of a video, the first frame
    pixels = functional.pixel_shuffle(first, latent_format.preview_patch)
    colors = pixels.movedim(0, -1) @ factors + bias
    return _to_image(((colors + 1) / 2).clamp(0, 1))


def _to_image(pixels: torch.Tensor) -> Image.Image:
    """From ``[H, W, 3]`` in 0..1."""
    return Image.fromarray(pixels.mul(255).to(torch.uint8).cpu().numpy())
