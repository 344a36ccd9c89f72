"""How conditionings become one prediction.

Classifier-free guidance (Ho and Salimans 2022): from what the network sees under the negative conditions, ``scale``
times the way to what it sees under the positive ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network import Predict
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.entries import Entry, entries, with_equal_areas
from safelight.models.sampling.samplers.sampling_context import Denoised
from safelight.models.weight_hooks import HookedNetwork, HookGroup

Conditioning = Sequence[Sequence[Any]]

Side = Literal["positive", "negative"]


@dataclass(frozen=True, eq=False)
class Guidance:
    """What is known when predictions are put together; all are noise-free latents, as ``x`` on the sampler's scale."""

    x: torch.Tensor
    sigma: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    scale: float
    model: DiffusionModel
    again: "Again"


class Again(Protocol):
    """Asks the network once more, at the same level."""

    def __call__(self, side: Side, x: torch.Tensor, hooks: NetworkHooks) -> torch.Tensor:
        """The noise-free latent under one side's conditions, with these hooks besides the model's own."""
        ...


Combine = Callable[[Guidance], torch.Tensor]
"""In place of the plain formula."""

Before = Callable[[Guidance], Guidance]
"""Changes what is put together; not asked where there is no guidance."""

After = Callable[[Guidance, torch.Tensor], torch.Tensor]
"""Changes the combined prediction."""


@dataclass(frozen=True)
class TimedHooks:
    """Hooks that count while the noise level is from ``start`` down to ``end``."""

    hooks: NetworkHooks
    start: float
    end: float


SeededHooks = Callable[[torch.Generator], NetworkHooks]
"""Hooks for one run, which draw from its generator."""


@dataclass(frozen=True)
class GuidanceOptions:
    """How nodes changed a model's sampling. ``needs_negative``: even at a scale of 1."""

    hooks: NetworkHooks = field(default_factory=NetworkHooks)
    seeded: tuple[SeededHooks, ...] = ()
    timed: tuple[TimedHooks, ...] = ()
    before: tuple[Before, ...] = ()
    combine: Combine | None = None
    after: tuple[After, ...] = ()
    needs_negative: bool = False
    mask: "MaskHook | None" = None

    def with_(self, **changes: Any) -> "GuidanceOptions":
        return replace(self, **changes)

    def hooks_at(self, sigma: float) -> NetworkHooks:
        active = (timed.hooks for timed in self.timed if timed.end <= sigma <= timed.start)
        return sum(active, self.hooks)


MaskHook = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, DiffusionModel], torch.Tensor]
"""``(mask, sigma, sigmas, model)``: the mask of what is painted anew, as it is to be at this level."""


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
    _hooked: dict[HookGroup, HookedNetwork] = field(default_factory=dict, repr=False)

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
            hooked=lambda group: self._under(group, model),
        )

    def _under(self, group: HookGroup, model: DiffusionModel) -> HookedNetwork:
        if group not in self._hooked:
            self._hooked[group] = HookedNetwork(model.network, group, model.parameterization.levels.sigma_at)
        return self._hooked[group]


@dataclass(frozen=True, eq=False)
class PositiveGuider:
    """The prediction under one conditioning, as it is."""

    model: DiffusionModel
    positive: Conditioning

    def denoiser(self, predict: Predict, prepared: Preparation) -> Denoiser:
        positive = prepared.entries(self.positive, self.model)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            (seen,) = predictions(predict, self.model, (positive,), x, sigma)
            again = _again(predict, self.model, {"positive": positive, "negative": positive}, sigma)
            return combined(Guidance(x, sigma, seen, seen, 1.0, self.model, again))

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
            again = _again(predict, self.model, {"positive": positive, "negative": negative}, sigma)
            if self.scale == 1.0 and not (needs_negative or options.needs_negative):
                (seen,) = predictions(predict, self.model, (positive,), x, sigma)
                return combined(Guidance(x, sigma, seen, seen, 1.0, self.model, again))
            seen, avoided = predictions(predict, self.model, (positive, negative), x, sigma)
            return combined(Guidance(x, sigma, seen, avoided, self.scale, self.model, again))

        return denoise


@dataclass(frozen=True, eq=False)
class PerpNegGuider:
    """Perp-Neg (Armandpour et al. 2023): of the way from nothing to the negative conditions, only what is perpendicular
    to the way to the positive ones is avoided."""

    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    empty: Conditioning
    scale: float
    negative_scale: float

    def denoiser(self, predict: Predict, prepared: Preparation) -> Denoiser:
        positive = prepared.entries(self.positive, self.model)
        negative = prepared.entries(self.negative, self.model, is_negative=True)
        empty = prepared.entries(self.empty, self.model, is_negative=True)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            seen, avoided, nothing = predictions(predict, self.model, (positive, negative, empty), x, sigma)
            to, away = seen - nothing, avoided - nothing
            perpendicular = away - (away * to).sum() / (to * to).sum().clamp_min(1e-37) * to
            wanted = nothing + (to - perpendicular * self.negative_scale) * self.scale
            again = _again(predict, self.model, {"positive": positive, "negative": empty}, sigma)
            guidance = Guidance(x, sigma, seen, nothing, self.scale, self.model, again)
            for change in options_of(self.model).after:
                wanted = change(guidance, wanted)
            return Denoised(wanted, nothing)

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
            again = _again(predict, self.model, {"positive": sides[0], "negative": sides[2]}, sigma)
            towards = middle + (positive - middle) * self.scale if self.is_nested else middle
            base = combined(Guidance(x, sigma, towards, negative, self.middle_scale, self.model, again))
            if self.is_nested:
                return base
            # The way to the positive conditions comes on top of the guided one to the middle.
            return Denoised(base.guided + (positive - middle) * self.scale, negative)

        return denoise


def options_of(model: DiffusionModel) -> GuidanceOptions:
    options = model.options
    return options if isinstance(options, GuidanceOptions) else GuidanceOptions()


def combined(guidance: Guidance) -> Denoised:
    options = options_of(guidance.model)
    if guidance.positive is not guidance.negative:
        for prepare in options.before:
            guidance = prepare(guidance)
    positive, negative = guidance.positive, guidance.negative
    if options.combine is not None:
        guided = options.combine(guidance)
    elif positive is negative:
        guided = positive
    else:
        guided = negative + (positive - negative) * guidance.scale
    for change in options.after:
        guided = change(guidance, guided)
    return Denoised(guided, negative)


def _again(
    predict: Predict, model: DiffusionModel, sides: Mapping[Side, Sequence[Entry]], sigma: torch.Tensor
) -> Again:
    def again(side: Side, x: torch.Tensor, hooks: NetworkHooks) -> torch.Tensor:
        options = options_of(model)
        hooked = model.with_(options=options.with_(hooks=options.hooks + hooks))
        (seen,) = predictions(predict, hooked, (sides[side],), x, sigma)
        return seen

    return again


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
    usual = [(side, entry) for side, entry in active if not entry.is_default]
    _add_up(predict, model, usual, x, sigma, sums, weights)
    rest = [(1 - weight).clamp(min=0) for weight in weights]
    filling = [(side, entry) for side, entry in active if entry.is_default and rest[side].any()]
    _add_up(predict, model, filling, x, sigma, sums, weights, among=rest)
    return [total / weight.clamp_min(1e-37) for total, weight in zip(sums, weights, strict=True)]


def _add_up(
    predict: Predict,
    model: DiffusionModel,
    active: Sequence[tuple[int, Entry]],
    x: torch.Tensor,
    sigma: torch.Tensor,
    sums: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    *,
    among: Sequence[torch.Tensor] | None = None,
) -> None:
    """``among``: for each side, how much its entries count at each place, in the place of their own weights."""
    for group in _alike(active, x.shape):
        with _network_of(group[0][1], predict, float(sigma)) as ask:
            seen = _predicted(ask, model, [entry for _, entry in group], x, sigma)
        for (side, entry), one in zip(group, seen, strict=True):
            area = entry.area
            if among is None:
                weight = entry.weights(x.shape).to(x)
            else:
                weight = among[side] if area is None else area.cut(among[side])
            (sums[side] if area is None else area.cut(sums[side])).add_(one * weight)
            (weights[side] if area is None else area.cut(weights[side])).add_(weight)


@contextmanager
def _network_of(entry: Entry, predict: Predict, sigma: float) -> Iterator[Predict]:
    """The run's own, or that under the entry's hooks."""
    if entry.hooked is None:
        yield predict
    else:
        with entry.hooked.at(sigma).session() as hooked:
            yield hooked


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
    scaled = parameterization.prediction.scaled_input(noisy, sigma)
    timesteps = timestep.to(x.device).expand(len(noisy))
    context = torch.cat([_batch(entry.context, len(x)) for entry in group])
    control = group[0].control
    if control is not None:
        keywords["control"] = control.at(
            sigma, parameterization.levels, scaled, timesteps, context=context, keywords=keywords
        )
    output = predict(scaled, timesteps, context=context, hooks=options_of(model).hooks_at(float(sigma)), **keywords)
    return torch.split(parameterization.prediction.denoised(noisy, output, sigma, timestep), len(x))


def _alike(active: Sequence[tuple[int, Entry]], shape: torch.Size) -> list[list[tuple[int, Entry]]]:
    """Groups that fit in one batch."""
    groups: dict[Any, list[tuple[int, Entry]]] = {}
    for side, entry in active:
        area = entry.area and entry.area.within(shape)
        size = area and (area.height, area.width)
        shapes = tuple((name, value.shape[1:]) for name, value in entry.keywords.items())
        groups.setdefault((size, entry.context.shape[1:], shapes, id(entry.control), id(entry.hooked)), []).append(
            (side, entry)
        )
    return list(groups.values())


def _cut(entry: Entry, name: str) -> torch.Tensor:
    value = entry.keywords[name]
    return entry.area.cut(value) if entry.area is not None and name == "concat" else value


def _batch(tensor: torch.Tensor, count: int) -> torch.Tensor:
    if len(tensor) == count:
        return tensor
    return tensor.repeat(-(-count // len(tensor)), *[1] * (tensor.dim() - 1))[:count]
