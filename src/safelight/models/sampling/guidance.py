"""Combine the predictions under several conditionings into one.

Classifier-free guidance (Ho and Salimans 2022): start at the prediction under the negative conditioning and go
``scale`` times the difference to the prediction under the positive one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.inputs import Inputs
from safelight.models.network import Predict
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.entries import Entry, build_entries, with_matching_areas
from safelight.models.sampling.samplers.sampling_context import Denoised
from safelight.models.sampling.step_cache import StepCache, StepCacheRun
from safelight.models.weight_hooks import HookedNetwork, HookGroup

Conditioning = Sequence[Sequence[Any]]

Side = Literal["positive", "negative"]


@dataclass(frozen=True, eq=False)
class Guidance:
    """The inputs of guidance. All predictions are noise-free latents, on the sampler's scale like ``x``."""

    x: torch.Tensor
    sigma: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    scale: float
    model: DiffusionModel
    reevaluate: "Reevaluate"


class Reevaluate(Protocol):
    """Evaluate the network again at the same noise level."""

    def __call__(self, side: Side, x: torch.Tensor, hooks: NetworkHooks) -> torch.Tensor:
        """The noise-free latent under the conditioning of one side, with these hooks in addition to the model's own."""
        ...


Combine = Callable[[Guidance], torch.Tensor]
"""Replaces the formula of classifier-free guidance."""

Before = Callable[[Guidance], Guidance]
"""Changes the predictions before they are combined; not called without guidance."""

After = Callable[[Guidance, torch.Tensor], torch.Tensor]
"""Changes the combined prediction."""


@dataclass(frozen=True)
class TimedHooks:
    """Hooks that are active while the noise level is between ``start`` and ``end`` (``start`` is higher)."""

    hooks: NetworkHooks
    start: float
    end: float


SeededHooks = Callable[[torch.Generator], NetworkHooks]
"""Makes hooks for one run that draw from its generator."""


@dataclass(frozen=True)
class GuidanceOptions:
    """Changes that nodes make to a model's sampling. ``needs_negative``: evaluate the negative side even at a scale of
    1."""

    hooks: NetworkHooks = field(default_factory=NetworkHooks)
    seeded: tuple[SeededHooks, ...] = ()
    timed: tuple[TimedHooks, ...] = ()
    before: tuple[Before, ...] = ()
    combine: Combine | None = None
    after: tuple[After, ...] = ()
    needs_negative: bool = False
    mask: "MaskHook | None" = None
    cache: StepCache | None = None
    cache_run: StepCacheRun | None = None
    """Of the run that is going on."""

    def with_(self, **changes: Any) -> "GuidanceOptions":
        return replace(self, **changes)

    def hooks_at(self, sigma: float) -> NetworkHooks:
        active = (timed.hooks for timed in self.timed if timed.end <= sigma <= timed.start)
        return sum(active, self.hooks)


MaskHook = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, DiffusionModel], torch.Tensor]
"""``(mask, sigma, sigmas, model)``: the inpainting mask at this noise level."""


class Denoiser(Protocol):
    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised: ...


class Guider(Protocol):
    """The value on ``GUIDER`` links."""

    @property
    def model(self) -> DiffusionModel: ...

    def denoiser(self, predict: Predict, setup: "SamplingSetup") -> Denoiser:
        """The denoiser for one run, in an open session of the model's network."""
        ...


@dataclass(frozen=True, eq=False)
class SamplingSetup:
    """The latent's shape, the device, the inpainting mask (``[B, 1, *spatial]``), the seed and the noise levels of one
    run."""

    shape: torch.Size
    device: torch.device
    noise_mask: torch.Tensor | None = None
    seed: int = 0
    sigmas: tuple[float, ...] = ()
    _hooked: dict[HookGroup, HookedNetwork] = field(default_factory=dict, repr=False)

    def entries(self, conditioning: Conditioning, model: DiffusionModel, *, is_negative: bool = False) -> list[Entry]:
        defaults: dict[str, Any] = {"seed": self.seed, "sample_sigmas": self.sigmas}
        if self.noise_mask is not None:
            defaults["noise_mask"] = self.noise_mask
        return build_entries(
            conditioning,
            model.network,
            model.parameterization.levels,
            shape=self.shape,
            device=self.device,
            is_negative=is_negative,
            defaults=defaults,
            hooked=lambda group: self._hooked_network(group, model),
        )

    def _hooked_network(self, group: HookGroup, model: DiffusionModel) -> HookedNetwork:
        if group not in self._hooked:
            self._hooked[group] = HookedNetwork(model.network, group, model.parameterization.levels.sigma_at)
        return self._hooked[group]


@dataclass(frozen=True, eq=False)
class PositiveGuider:
    """The prediction under one conditioning, without guidance."""

    model: DiffusionModel
    positive: Conditioning

    def denoiser(self, predict: Predict, setup: SamplingSetup) -> Denoiser:
        positive = setup.entries(self.positive, self.model)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            (seen,) = predictions(predict, self.model, (positive,), x, sigma)
            reevaluate = _reevaluator(predict, self.model, {"positive": positive, "negative": positive}, sigma)
            return combined(Guidance(x, sigma, seen, seen, 1.0, self.model, reevaluate))

        return denoise


@dataclass(frozen=True, eq=False)
class CfgGuider:
    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    scale: float

    def denoiser(self, predict: Predict, setup: SamplingSetup) -> Denoiser:
        positive, negative = with_matching_areas(
            setup.entries(self.positive, self.model),
            setup.entries(self.negative, self.model, is_negative=True),
        )
        options = options_of(self.model)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            reevaluate = _reevaluator(predict, self.model, {"positive": positive, "negative": negative}, sigma)
            if self.scale == 1.0 and not (needs_negative or options.needs_negative):
                (seen,) = predictions(predict, self.model, (positive,), x, sigma)
                return combined(Guidance(x, sigma, seen, seen, 1.0, self.model, reevaluate))
            seen, avoided = predictions(predict, self.model, (positive, negative), x, sigma)
            return combined(Guidance(x, sigma, seen, avoided, self.scale, self.model, reevaluate))

        return denoise


@dataclass(frozen=True, eq=False)
class PerpNegGuider:
    """Perp-Neg (Armandpour et al. 2023): of the difference between the negative and the empty conditioning, only the
    part perpendicular to that of the positive one is avoided."""

    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    empty: Conditioning
    scale: float
    negative_scale: float

    def denoiser(self, predict: Predict, setup: SamplingSetup) -> Denoiser:
        positive = setup.entries(self.positive, self.model)
        negative = setup.entries(self.negative, self.model, is_negative=True)
        empty = setup.entries(self.empty, self.model, is_negative=True)

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            seen, avoided, nothing = predictions(predict, self.model, (positive, negative, empty), x, sigma)
            to, away = seen - nothing, avoided - nothing
            perpendicular = away - (away * to).sum() / (to * to).sum().clamp_min(1e-37) * to
            wanted = nothing + (to - perpendicular * self.negative_scale) * self.scale
            reevaluate = _reevaluator(predict, self.model, {"positive": positive, "negative": empty}, sigma)
            guidance = Guidance(x, sigma, seen, nothing, self.scale, self.model, reevaluate)
            for change in options_of(self.model).after:
                wanted = change(guidance, wanted)
            return Denoised(wanted, nothing)

        return denoise


@dataclass(frozen=True, eq=False)
class DualCfgGuider:
    """Guidance from the negative conditioning to ``middle``, and from there to ``positive``. ``is_nested``: the first
    guidance is applied to the result of the second; otherwise both differences are added."""

    model: DiffusionModel
    positive: Conditioning
    middle: Conditioning
    negative: Conditioning
    scale: float
    middle_scale: float
    is_nested: bool = False

    def denoiser(self, predict: Predict, setup: SamplingSetup) -> Denoiser:
        sides = (
            setup.entries(self.positive, self.model),
            setup.entries(self.middle, self.model),
            setup.entries(self.negative, self.model, is_negative=True),
        )

        def denoise(x: torch.Tensor, sigma: torch.Tensor, *, needs_negative: bool = False) -> Denoised:
            positive, middle, negative = predictions(predict, self.model, sides, x, sigma)
            reevaluate = _reevaluator(predict, self.model, {"positive": sides[0], "negative": sides[2]}, sigma)
            towards = middle + (positive - middle) * self.scale if self.is_nested else middle
            base = combined(Guidance(x, sigma, towards, negative, self.middle_scale, self.model, reevaluate))
            if self.is_nested:
                return base
            # The difference to the positive prediction is added to the guidance towards the middle.
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


def _reevaluator(
    predict: Predict, model: DiffusionModel, sides: Mapping[Side, Sequence[Entry]], sigma: torch.Tensor
) -> Reevaluate:
    def reevaluate(side: Side, x: torch.Tensor, hooks: NetworkHooks) -> torch.Tensor:
        options = options_of(model)
        hooked = model.with_(options=options.with_(hooks=options.hooks + hooks))
        (seen,) = predictions(predict, hooked, (sides[side],), x, sigma)
        return seen

    return reevaluate


def predictions(
    predict: Predict,
    model: DiffusionModel,
    sides: Sequence[Sequence[Entry]],
    x: torch.Tensor,
    sigma: torch.Tensor,
) -> list[torch.Tensor]:
    """The noise-free latent predicted under each side's entries: their mean, weighted at each position. Entries that
    can share a batch go through the network together."""
    if (run := options_of(model).cache_run) is not None:
        run.begin_step()
    sums = [torch.zeros_like(x) for _ in sides]
    weights = [torch.zeros_like(x[:, :1]) for _ in sides]
    active = [(side, entry) for side, all_ in enumerate(sides) for entry in all_ if entry.is_active_at(float(sigma))]
    regular = [(side, entry) for side, entry in active if not entry.is_default]
    _accumulate(predict, model, regular, x, sigma, sums, weights)
    rest = [(1 - weight).clamp(min=0) for weight in weights]
    filling = [(side, entry) for side, entry in active if entry.is_default and rest[side].any()]
    _accumulate(predict, model, filling, x, sigma, sums, weights, side_weights=rest)
    return [total / weight.clamp_min(1e-37) for total, weight in zip(sums, weights, strict=True)]


def _accumulate(
    predict: Predict,
    model: DiffusionModel,
    active: Sequence[tuple[int, Entry]],
    x: torch.Tensor,
    sigma: torch.Tensor,
    sums: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    *,
    side_weights: Sequence[torch.Tensor] | None = None,
) -> None:
    """Add the weighted predictions of the active entries to ``sums`` and ``weights``. ``side_weights``: per side,
    weights to use instead of the entries' own."""
    for group in _batchable_groups(active, x.shape):
        with _network_of(group[0][1], predict, float(sigma)) as network_predict:
            seen = _predict_group(network_predict, model, [entry for _, entry in group], x, sigma)
        for (side, entry), one in zip(group, seen, strict=True):
            area = entry.area
            if side_weights is None:
                weight = entry.weights(x.shape).to(x)
            else:
                weight = side_weights[side] if area is None else area.cut(side_weights[side])
            (sums[side] if area is None else area.cut(sums[side])).add_(one * weight)
            (weights[side] if area is None else area.cut(weights[side])).add_(weight)


@contextmanager
def _network_of(entry: Entry, predict: Predict, sigma: float) -> Iterator[Predict]:
    """The run's network, or the one under the entry's hooks."""
    if entry.hooked is None:
        yield predict
    else:
        with entry.hooked.at(sigma).session() as hooked:
            yield hooked


def _predict_group(
    predict: Predict, model: DiffusionModel, group: Sequence[Entry], x: torch.Tensor, sigma: torch.Tensor
) -> Sequence[torch.Tensor]:
    parameterization = model.parameterization
    parts = [x if entry.area is None else entry.area.cut(x) for entry in group]
    noisy = torch.cat(parts)
    timestep = parameterization.levels.timestep(sigma)
    scaled = parameterization.prediction.scaled_input(noisy, sigma)
    timesteps = timestep.to(x.device).expand(len(noisy))
    first, *others = (_inputs_of(entry, len(x)) for entry in group)
    inputs = first.joined(others)
    control = group[0].control
    added = (
        None
        if control is None
        else control.residuals_at(sigma, parameterization.levels, scaled, timesteps, inputs, network=model.network)
    )
    options = options_of(model)

    def evaluate() -> torch.Tensor:
        return predict(scaled, timesteps, inputs, control=added, hooks=options.hooks_at(float(sigma)))

    run = options.cache_run
    if run is None or run.cache.whole_step:
        output = evaluate()
    else:
        output = run(evaluate, scaled, float(sigma), [id(entry) for entry in group])
    return torch.split(parameterization.prediction.denoised(noisy, output, sigma, timestep), len(x))


def _batchable_groups(active: Sequence[tuple[int, Entry]], shape: torch.Size) -> list[list[tuple[int, Entry]]]:
    """Groups of entries that fit into one batch."""
    groups: dict[Any, list[tuple[int, Entry]]] = {}
    for side, entry in active:
        size = entry.area and entry.area.within(shape).sizes
        key = (size, entry.inputs.batch_key(), id(entry.control), id(entry.hooked))
        groups.setdefault(key, []).append((side, entry))
    return list(groups.values())


def _inputs_of(entry: Entry, count: int) -> Inputs:
    inputs = entry.inputs if entry.area is None else entry.inputs.cropped(entry.area.cut)
    return inputs.for_items(count)
