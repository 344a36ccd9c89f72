"""How conditionings become one prediction.

Classifier-free guidance (Ho and Salimans 2022): from what the network sees under the negative conditions, ``scale``
times the way to what it sees under the positive ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from safelight.models.hooks import NetworkHooks
from safelight.models.model import DiffusionModel
from safelight.models.network import Predict
from safelight.models.sampling.entries import Entry, entries, with_equal_areas
from safelight.models.sampling.samplers.run import Denoised

Conditioning = Sequence[Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Guidance:
    """What is known when predictions are put together; all are noise-free latents, as ``x`` on the sampler's scale."""

    x: torch.Tensor
    sigma: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    scale: float
    model: DiffusionModel


Combine = Callable[[Guidance], torch.Tensor]
"""In place of the plain formula."""

After = Callable[[Guidance, torch.Tensor], torch.Tensor]
"""Changes the combined prediction."""


@dataclass(frozen=True)
class GuidanceOptions:
    """How nodes changed a model's sampling. ``needs_negative``: even at a scale of 1."""

    hooks: NetworkHooks = field(default_factory=NetworkHooks)
    combine: Combine | None = None
    after: tuple[After, ...] = ()
    needs_negative: bool = False


class Denoiser(Protocol):
    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised: ...


class Guider(Protocol):
    """What travels on ``GUIDER`` links."""

    @property
    def model(self) -> DiffusionModel: ...

    def denoiser(self, predict: Predict, prepared: "Preparation") -> Denoiser:
        """For one run, in an open session of the model's network."""
        ...


@dataclass(frozen=True, eq=False)
class Preparation:
    """The latent's shape, where to compute, and a mask of what is to be painted anew (``[B, 1, h, w]``)."""

    shape: torch.Size
    device: torch.device
    noise_mask: torch.Tensor | None = None

    def entries(self, conditioning: Conditioning, model: DiffusionModel, *, is_negative: bool = False) -> list[Entry]:
        more = {} if self.noise_mask is None else {"noise_mask": self.noise_mask}
        return entries(
            conditioning,
            model.network,
            model.parameterization.levels,
            shape=self.shape,
            device=self.device,
            is_negative=is_negative,
            more=more,
        )


@dataclass(frozen=True, eq=False)
class PositiveGuider:
    """The prediction under one conditioning, as it is."""

    model: DiffusionModel
    positive: Conditioning

    def denoiser(self, predict: Predict, prepared: Preparation) -> Denoiser:
        positive = prepared.entries(self.positive, self.model)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            (seen,) = predictions(predict, self.model, (positive,), x, sigma)
            return combined(self.model, x, sigma, seen, seen, 1.0)

        return denoise


@dataclass(frozen=True, eq=False)
class CfgGuider:
    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    scale: float

    def denoiser(self, predict: Predict, prepared: Preparation) -> Denoiser:
        positive, negative = with_equal_areas(
            prepared.entries(self.positive, self.model),
            prepared.entries(self.negative, self.model, is_negative=True),
        )
        options = options_of(self.model)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            if self.scale == 1.0 and not (needs_negative or options.needs_negative):
                (seen,) = predictions(predict, self.model, (positive,), x, sigma)
                return combined(self.model, x, sigma, seen, seen, 1.0)
            seen, avoided = predictions(predict, self.model, (positive, negative), x, sigma)
            return combined(self.model, x, sigma, seen, avoided, self.scale)

        return denoise


@dataclass(frozen=True, eq=False)
class DualCfgGuider:
    """Guided from the negative conditions to ``middle``, and from there to ``positive``. ``is_nested``: the first
    guidance is applied to the result of the second, where else the two ways are added."""

    model: DiffusionModel
    positive: Conditioning
    middle: Conditioning
    negative: Conditioning
    scale: float
    middle_scale: float
    is_nested: bool = False

    def denoiser(self, predict: Predict, prepared: Preparation) -> Denoiser:
        sides = (
            prepared.entries(self.positive, self.model),
            prepared.entries(self.middle, self.model),
            prepared.entries(self.negative, self.model, is_negative=True),
        )

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            positive, middle, negative = predictions(predict, self.model, sides, x, sigma)
            if self.is_nested:
                towards = middle + (positive - middle) * self.scale
                return combined(self.model, x, sigma, towards, negative, self.middle_scale)
            # The way to the positive conditions comes on top of the guided one to the middle.
            base, _ = combined(self.model, x, sigma, middle, negative, self.middle_scale)
            return Denoised(base + (positive - middle) * self.scale, negative)

        return denoise


def options_of(model: DiffusionModel) -> GuidanceOptions:
    options = model.options
    return options if isinstance(options, GuidanceOptions) else GuidanceOptions()


def combined(
    model: DiffusionModel,
    x: torch.Tensor,
    sigma: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor,
    scale: float,
) -> Denoised:
    options = options_of(model)
    guidance = Guidance(x, sigma, positive, negative, scale, model)
    if options.combine is not None:
        guided = options.combine(guidance)
    elif positive is negative:
        guided = positive
    else:
        guided = negative + (positive - negative) * scale
    for change in options.after:
        guided = change(guidance, guided)
    return Denoised(guided, negative)


def predictions(
    predict: Predict,
    model: DiffusionModel,
    sides: Sequence[Sequence[Entry]],
    x: torch.Tensor,
    sigma: torch.Tensor,
) -> list[torch.Tensor]:
    """The noise-free latent that the network sees under each side's entries: their mean, weighted at each place. What
    goes together goes through the network together."""
    sums = [torch.zeros_like(x) for _ in sides]
    weights = [torch.zeros_like(x[:, :1]) for _ in sides]
    active = [(side, entry) for side, all_ in enumerate(sides) for entry in all_ if entry.counts_at(float(sigma))]
    for group in _alike(active):
        seen = _predicted(predict, model, [entry for _, entry in group], x, sigma)
        for (side, entry), one in zip(group, seen, strict=True):
            weight = entry.weights(x.shape).to(x)
            area = entry.area
            (sums[side] if area is None else area.cut(sums[side])).add_(one * weight)
            (weights[side] if area is None else area.cut(weights[side])).add_(weight)
    return [total / weight.clamp_min(1e-37) for total, weight in zip(sums, weights, strict=True)]


def _predicted(
    predict: Predict, model: DiffusionModel, group: Sequence[Entry], x: torch.Tensor, sigma: torch.Tensor
) -> Sequence[torch.Tensor]:
    parameterization = model.parameterization
    parts = [x if entry.area is None else entry.area.cut(x) for entry in group]
    noisy = torch.cat(parts)
    timestep = parameterization.levels.timestep(sigma)
    keywords: dict[str, Any] = {
        name: torch.cat([_batch(_cut(entry, name), len(x)) for entry in group]) for name in group[0].keywords
    }
    output = predict(
        parameterization.prediction.scaled_input(noisy, sigma),
        timestep.expand(len(noisy)),
        context=torch.cat([_batch(entry.context, len(x)) for entry in group]),
        hooks=options_of(model).hooks,
        **keywords,
    )
    return torch.split(parameterization.prediction.denoised(noisy, output, sigma, timestep), len(x))


def _alike(active: Sequence[tuple[int, Entry]]) -> list[list[tuple[int, Entry]]]:
    """Groups that fit in one batch."""
    groups: dict[Any, list[tuple[int, Entry]]] = {}
    for side, entry in active:
        size = entry.area and (entry.area.height, entry.area.width)
        shapes = tuple((name, value.shape[1:]) for name, value in entry.keywords.items())
        groups.setdefault((size, entry.context.shape[1:], shapes), []).append((side, entry))
    return list(groups.values())


def _cut(entry: Entry, name: str) -> torch.Tensor:
    value = entry.keywords[name]
    return entry.area.cut(value) if entry.area is not None and name == "concat" else value


def _batch(tensor: torch.Tensor, count: int) -> torch.Tensor:
    if len(tensor) == count:
        return tensor
    return tensor.repeat(-(-count // len(tensor)), *[1] * (tensor.dim() - 1))[:count]
