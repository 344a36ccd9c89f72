"""One run of sampling, from a latent and noise to a latent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.sampling.guidance import Denoiser, Guider, Preparation, options_of
from safelight.models.sampling.noise import SEEDS, generator_after_first_noise
from safelight.models.sampling.samplers.sampling_context import Denoised, Run, Sampler

OnSampled = Callable[[int, int, torch.Tensor], None]
"""``(step, steps, denoised)``: how many steps are done, of how many; the prediction as the network sees latents."""


class LatentMismatch(Invalid):
    """The latent is not of the kind that the model works on."""

    code = "latent_mismatch"


@dataclass(frozen=True)
class ChosenSampler:
    """What travels on ``SAMPLER`` links. ``fresh_noise_outside``: see :data:`.samplers.table.FRESH_NOISE_OUTSIDE`."""

    function: Sampler
    options: Mapping[str, Any] = field(default_factory=dict)
    fresh_noise_outside: bool = False


@dataclass(frozen=True, eq=False)
class Sampled:
    """Latents as they are on links, on the CPU. ``denoised``: the last prediction; with noise left in ``samples``, what
    the network sees behind it."""

    samples: torch.Tensor
    denoised: torch.Tensor


def sample(
    guider: Guider,
    sampler: ChosenSampler,
    sigmas: torch.Tensor,
    *,
    latent: torch.Tensor,
    noise: torch.Tensor,
    seed: int,
    noise_mask: torch.Tensor | None = None,
    on_step: OnSampled,
) -> Sampled:
    """``latent`` and ``noise`` ``[B, C, h, w]``; ``noise_mask`` 1 where to paint, of any size. Raises
    :class:`LatentMismatch`."""
    guider = _with_chance(guider, noise, seed)
    model = guider.model
    latent, noise = _fitting(latent, noise, model.latent_format)
    if len(sigmas) < 2:
        return Sampled(latent, latent)
    with model.network.session() as predict, torch.inference_mode():
        device = model.network.device
        start = model.latent_format.to_network(latent) if latent.any() else latent
        start, noise = start.to(device, torch.float32), noise.to(device, torch.float32)
        mask = None if noise_mask is None else _mask(noise_mask, start)
        denoise = guider.denoiser(predict, Preparation(start.shape, device, mask))
        if mask is not None:
            around = noise
            if sampler.fresh_noise_outside:
                generator = torch.Generator().manual_seed((seed + 1) % SEEDS)
                around = torch.randn(noise.shape, generator=generator).to(noise)
            denoise = _keeping(denoise, start, around, _Mask(mask, model, sigmas))
        last: list[torch.Tensor] = [start]
        steps = len(sigmas) - 1

        def step_done(index: int, denoised: torch.Tensor, x: torch.Tensor) -> None:
            last[0] = denoised
            on_step(min(index + 1, steps), steps, denoised)

        sigmas = sigmas.to(device, torch.float32)
        run = Run(
            denoise,
            model.parameterization.noised(start, noise, sigmas[0]),
            sigmas,
            model.parameterization,
            seed=seed,
            on_step=step_done,
        )
        samples = sampler.function(run, **sampler.options)
        samples = model.parameterization.prediction.released(samples, sigmas[-1])
        made = [model.latent_format.from_network(part).float().cpu() for part in (samples, last[0])]
    return Sampled(*made)


def _with_chance(guider: Guider, noise: torch.Tensor, seed: int) -> Guider:
    """Its model's hooks that draw by chance get the run's generator."""
    options = options_of(guider.model)
    if not options.seeded:
        return guider
    generator = generator_after_first_noise(noise, seed, guider.model.network.device)
    hooks = sum((made(generator) for made in options.seeded), options.hooks)
    chosen: Any = guider  # all guiders are dataclasses
    return replace(chosen, model=guider.model.with_(options=options.with_(hooks=hooks, seeded=())))  # type: ignore[no-any-return]


def _fitting(latent: torch.Tensor, noise: torch.Tensor, wanted: LatentFormat) -> tuple[torch.Tensor, torch.Tensor]:
    """An empty latent fits every model: it gets the channels that are wanted."""
    if latent.dim() != 4:
        raise LatentMismatch(
            f"the model works on pictures, the latent has {latent.dim() - 2} dimensions besides channels"
        )
    if latent.shape[1] == wanted.channels:
        return latent, noise
    if latent.any():
        raise LatentMismatch(f"the latent has {latent.shape[1]} channels; the model works on {wanted.channels}")
    shape = (latent.shape[0], wanted.channels, *latent.shape[2:])
    return latent.new_zeros(shape), noise.repeat(1, -(-wanted.channels // noise.shape[1]), 1, 1)[:, : wanted.channels]


def _mask(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    planes = mask.to(like).reshape(-1, 1, *mask.shape[-2:])
    planes = functional.interpolate(planes, size=tuple(like.shape[-2:]), mode="bilinear")
    return planes.repeat(-(-len(like) // len(planes)), 1, 1, 1)[: len(like)]


@dataclass(frozen=True, eq=False)
class _Mask:
    """Of what is painted anew; a node may have it change from level to level."""

    planes: torch.Tensor
    model: DiffusionModel
    sigmas: torch.Tensor

    def at(self, sigma: torch.Tensor) -> torch.Tensor:
        hook = options_of(self.model).mask
        return self.planes if hook is None else hook(self.planes, sigma, self.sigmas, self.model)


def _keeping(denoise: Denoiser, latent: torch.Tensor, noise: torch.Tensor, mask: "_Mask") -> Denoiser:
    """Outside of the mask, the network sees the latent under noise of the present level, and what it predicts there is
    the latent itself. The negative prediction stays as it is."""

    def kept(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        here = mask.at(sigma)
        x = x * here + mask.model.parameterization.prediction.noised(latent, noise, sigma) * (1 - here)
        guided, negative = denoise(x, sigma, needs_negative=needs_negative)
        return Denoised(guided * here + latent * (1 - here), negative)

    return kept
