"""Run a sampler: from a latent and noise to a latent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.inputs import repeated
from safelight.models.latent_format import LatentFormat
from safelight.models.nested import NestedTensor, Packing, Samples, first_part
from safelight.models.sampling.guidance import Denoiser, Guider, SamplingSetup, options_of
from safelight.models.sampling.noise import SEEDS, generator_after_first_noise
from safelight.models.sampling.packed import packed_mask, packed_model
from safelight.models.sampling.samplers.sampling_context import Denoised, Sampler, SamplingContext
from safelight.models.sampling.step_cache import StepCacheRun

OnSampled = Callable[[int, int, Samples], None]
"""``(step, steps, denoised)``: steps done, steps in total, and the prediction on the network's scale."""


class LatentMismatch(Invalid):
    """The latent does not match the format that the model works on."""

    code = "latent_mismatch"


@dataclass(frozen=True)
class ChosenSampler:
    """The value on ``SAMPLER`` links. ``fresh_noise_outside``: see :data:`.samplers.table.FRESH_NOISE_OUTSIDE`."""

    function: Sampler
    options: Mapping[str, Any] = field(default_factory=dict)
    fresh_noise_outside: bool = False


@dataclass(frozen=True, eq=False)
class Sampled:
    """Latents as they are on links, on the CPU. ``denoised``: the last prediction, which is noise-free even if noise is
    left in ``samples``."""

    samples: Samples
    denoised: Samples


def sample(
    guider: Guider,
    sampler: ChosenSampler,
    sigmas: torch.Tensor,
    *,
    latent: Samples,
    noise: Samples,
    seed: int,
    noise_mask: Samples | None = None,
    on_step: OnSampled,
) -> Sampled:
    """Sample once. ``latent``, which :func:`fitting` returned, and ``noise`` are ``[B, C, *spatial]``, or nested
    tensors of several; ``noise_mask`` is 1 where to paint, of any size."""
    if not isinstance(latent, NestedTensor):
        assert isinstance(noise, torch.Tensor)  # it was made for this latent
        mask = None if noise_mask is None else first_part(noise_mask)
        return _sample(guider, sampler, sigmas, latent=latent, noise=noise, seed=seed, noise_mask=mask, on_step=on_step)
    packing = Packing.of(latent)
    assert isinstance(noise, NestedTensor)
    sampled = _sample(
        _with_model(guider, packed_model(guider.model, packing)),
        sampler,
        sigmas,
        latent=packing.pack(latent),
        noise=packing.pack(noise),
        seed=seed,
        noise_mask=packed_mask(noise_mask, packing, _mask),
        on_step=lambda step, steps, denoised: on_step(step, steps, packing.unpack(first_part(denoised))),
    )
    return Sampled(packing.unpack(first_part(sampled.samples)), packing.unpack(first_part(sampled.denoised)))


def _sample(
    guider: Guider,
    sampler: ChosenSampler,
    sigmas: torch.Tensor,
    *,
    latent: torch.Tensor,
    noise: torch.Tensor,
    seed: int,
    noise_mask: torch.Tensor | None,
    on_step: OnSampled,
) -> Sampled:
    guider = _with_cache(_with_seeded_hooks(guider, noise, seed))
    model = guider.model
    if len(sigmas) < 2:
        return Sampled(latent, latent)
    with model.network.session() as predict, torch.inference_mode():
        device = model.network.device
        start = model.latent_format.to_network(latent) if latent.any() else latent
        start, noise = start.to(device, torch.float32), noise.to(device, torch.float32)
        mask = None if noise_mask is None else _mask(noise_mask, start)
        levels = tuple(float(sigma) for sigma in sigmas)
        denoise = guider.denoiser(predict, SamplingSetup(start.shape, device, mask, seed, levels))
        if (run := options_of(guider.model).cache_run) is not None and run.cache.whole_step:
            denoise = _cached_denoiser(denoise, run)
        if mask is not None:
            outside = noise
            if sampler.fresh_noise_outside:
                generator = torch.Generator().manual_seed((seed + 1) % SEEDS)
                outside = torch.randn(noise.shape, generator=generator).to(noise)
            denoise = _masked_denoiser(denoise, start, outside, _Mask(mask, model, sigmas))
        last: list[torch.Tensor] = [start]
        steps = len(sigmas) - 1

        def step_done(index: int, denoised: torch.Tensor, x: torch.Tensor) -> None:
            last[0] = denoised
            on_step(min(index + 1, steps), steps, denoised)

        sigmas = sigmas.to(device, torch.float32)
        context = SamplingContext(
            denoise,
            model.parameterization.noised(start, noise, sigmas[0]),
            sigmas,
            model.parameterization,
            seed=seed,
            on_step=step_done,
        )
        samples = sampler.function(context, **sampler.options)
        samples = model.parameterization.prediction.final_latent(samples, sigmas[-1])
        made = [model.latent_format.from_network(part).float().cpu() for part in (samples, last[0])]
    return Sampled(*made)


def _with_seeded_hooks(guider: Guider, noise: torch.Tensor, seed: int) -> Guider:
    """Pass the run's generator to the model's hooks that use random numbers."""
    options = options_of(guider.model)
    if not options.seeded:
        return guider
    generator = generator_after_first_noise(noise, seed, guider.model.network.device)
    hooks = sum((made(generator) for made in options.seeded), options.hooks)
    return _with_model(guider, guider.model.with_(options=options.with_(hooks=hooks, seeded=())))


def _with_model(guider: Guider, model: DiffusionModel) -> Guider:
    chosen: Any = guider  # all guiders are dataclasses
    return replace(chosen, model=model)  # type: ignore[no-any-return]


def _with_cache(guider: Guider) -> Guider:
    """The guider with an empty cache, if a node asked for one."""
    options = options_of(guider.model)
    if options.cache is None:
        return guider
    chosen: Any = guider  # all guiders are dataclasses
    model = guider.model.with_(options=options.with_(cache_run=StepCacheRun(options.cache)))
    return replace(chosen, model=model)  # type: ignore[no-any-return]


def _cached_denoiser(denoise: Denoiser, run: StepCacheRun) -> Denoiser:
    """Only the guided prediction is cached; one that is estimated has no negative prediction of its own."""

    def cached(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        made: list[Denoised] = []

        def evaluate() -> torch.Tensor:
            made.append(denoise(x, sigma, needs_negative=needs_negative))
            return made[0].guided

        guided = run(evaluate, x, float(sigma))
        return made[0] if made else Denoised(guided, guided)

    return cached


def fitting(latent: Samples, wanted: LatentFormat, *, downscale: int | None = None) -> Samples:
    """The latent in the shape of a format: an image becomes a video of one frame, and an empty latent gets the required
    number of channels, and empty latents beside it if the model denoises several. ``downscale``: the pixels of an
    image per pixel of this latent; an empty one with another number than the format's is resized. Raises
    :class:`LatentMismatch`."""
    if isinstance(latent, NestedTensor):
        formats = (wanted, *wanted.others)
        if len(latent.tensors) != len(formats):
            expected = "one latent" if len(formats) == 1 else f"{len(formats)} latents together"
            raise LatentMismatch(f"the model works on {expected}, but this one has {len(latent.tensors)} parts")
        return NestedTensor([_fitting(part, own) for part, own in zip(latent, formats, strict=True)])
    fitted = _fitting(latent, wanted)
    if fitted.any():
        return fitted
    if downscale is not None and downscale != wanted.downscale:
        sides = [max(round(side * downscale / wanted.downscale), 1) for side in fitted.shape[-2:]]
        fitted = fitted.new_zeros(*fitted.shape[:-2], *sides)
    return fitted if wanted.empty_others is None else NestedTensor([fitted, *wanted.empty_others(fitted)])


_KINDS = {1: "audio", 2: "images", 3: "videos"}


def _fitting(latent: torch.Tensor, wanted: LatentFormat) -> torch.Tensor:
    if latent.dim() - 2 != wanted.dimensions and not (latent.dim() == 4 and wanted.dimensions == 3):
        raise LatentMismatch(
            f"the model works on {_KINDS[wanted.dimensions]}, but the latent has {latent.dim() - 2} dimensions "
            "besides channels"
        )
    if latent.dim() - 2 < wanted.dimensions:
        latent = latent.unsqueeze(2)
    if latent.shape[1] == wanted.channels:
        return latent
    if latent.any():
        raise LatentMismatch(f"the latent has {latent.shape[1]} channels, but the model needs {wanted.channels}")
    return latent.new_zeros(latent.shape[0], wanted.channels, *latent.shape[2:])


def _mask(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The mask in the latent's size; for a video, its planes are frames; for a sequence, it is ``[B, 1, n]`` or
    ``[B, n]``."""
    if like.dim() == 3:
        positions = mask.to(like)
        positions = positions if positions.dim() == 3 else positions.reshape(-1, 1, mask.shape[-1])
        return repeated(functional.interpolate(positions, size=tuple(like.shape[2:]), mode="linear"), len(like))
    is_video = like.dim() == 5
    planes = mask.to(like)
    if not is_video:
        planes = planes.reshape(-1, 1, *mask.shape[-2:])
    elif planes.dim() < 5:
        planes = planes.reshape(1, 1, -1, *mask.shape[-2:])
    mode = "trilinear" if is_video else "bilinear"
    return repeated(functional.interpolate(planes, size=tuple(like.shape[2:]), mode=mode), len(like))


@dataclass(frozen=True, eq=False)
class _Mask:
    """The inpainting mask; a node may change it from level to level."""

    planes: torch.Tensor
    model: DiffusionModel
    sigmas: torch.Tensor

    def at(self, sigma: torch.Tensor) -> torch.Tensor:
        hook = options_of(self.model).mask
        return self.planes if hook is None else hook(self.planes, sigma, self.sigmas, self.model)

    def noised(self, latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        noised: torch.Tensor = self.model.parameterization.prediction.noised(latent, noise, sigma)
        return noised


def _masked_denoiser(denoise: Denoiser, latent: torch.Tensor, noise: torch.Tensor, mask: "_Mask") -> Denoiser:
    """Outside of the mask, the network sees the latent under noise of the current level, and the prediction is the
    latent itself. The negative prediction is unchanged."""

    def kept(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
        here = mask.at(sigma)
        outside = latent if mask.model.is_clean_outside_mask else mask.noised(latent, noise, sigma)
        x = x * here + outside * (1 - here)
        guided, negative = denoise(x, sigma, needs_negative=needs_negative)
        return Denoised(guided * here + latent * (1 - here), negative)

    return kept
