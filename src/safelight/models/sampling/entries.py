"""Conditioning as sampling uses it: what conditions the network, in which area, and during which range of the steps.

The options are those that conditioning nodes set: ``area`` (height, width, y, x in latent pixels, or as fractions after
the word "percentage"; for video with frames before the height and the first frame before y), ``mask``,
``set_area_to_bounds``, ``strength``, ``mask_strength``, ``start_percent`` and ``end_percent``.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from safelight.models.inputs import Inputs, repeated
from safelight.models.network import Network
from safelight.models.network_hooks import Control
from safelight.models.sampling.levels import Levels
from safelight.models.weight_hooks import HookedNetwork, HookGroup

FEATHER = 8
"""The maximum number of latent pixels over which an area fades into its surroundings; for a small area, a quarter of
its side."""
SMALLEST_AREA = 8


class Area(NamedTuple):
    """A box in the last dimensions of a latent: ``sizes`` and ``starts`` of each. May reach beyond the latent's border:
    areas are compared as requested, and cropped where they are used."""

    sizes: tuple[int, ...]
    starts: tuple[int, ...]

    def cut(self, planes: torch.Tensor) -> torch.Tensor:
        index: list[Any] = [slice(start, start + size) for size, start in zip(self.sizes, self.starts, strict=True)]
        return planes[(..., *index)]

    def within(self, shape: torch.Size) -> "Area":
        ends = shape[-len(self.sizes) :]
        sizes = (min(size, end - at) for size, at, end in zip(self.sizes, self.starts, ends, strict=True))
        return Area(tuple(sizes), self.starts)

    def covers(self, other: "Area") -> bool:
        return all(
            start <= others and start + size >= others + other_size
            for size, start, other_size, others in zip(self.sizes, self.starts, other.sizes, other.starts, strict=True)
        )


class ControlSource(Protocol):
    """The residuals of control networks: see :class:`safelight.models.control.control_network.AppliedControl`."""

    def residuals_at(
        self,
        sigma: torch.Tensor,
        levels: Levels,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Inputs,
        *,
        network: Network | None = None,
    ) -> Control | None: ...


@dataclass(frozen=True, eq=False)
class Entry:
    """One conditioning. ``mask [B, h, w]`` in latent pixels, the same for all frames of a video. ``first`` and
    ``last``: the highest and the lowest noise level at which it is active."""

    inputs: Inputs = field(repr=False)
    area: Area | None = None
    mask: torch.Tensor | None = field(default=None, repr=False)
    strength: float = 1.0
    mask_strength: float = 1.0
    first: float | None = None
    last: float | None = None
    control: "ControlSource | None" = field(default=None, repr=False)
    shares_control: bool = False
    hooked: HookedNetwork | None = field(default=None, repr=False)
    """The network to use instead of the model's own."""
    is_default: bool = False
    """Active only where no other entry is."""

    def is_active_at(self, sigma: float) -> bool:
        return not ((self.first is not None and sigma > self.first) or (self.last is not None and sigma < self.last))

    def weights(self, shape: torch.Size) -> torch.Tensor:
        """The weight at each position of its area, ``[1 or B, 1, *spatial]``."""
        dimensions = len(shape) - 2
        if self.mask is not None:
            mask = self.mask if self.area is None else self.area.cut(self.mask)
            return mask.reshape(len(mask), *[1] * (dimensions + 2 - mask.dim()), *mask.shape[1:]) * (
                self.strength * self.mask_strength
            )
        area = None if self.area is None else self.area.within(shape)
        sizes = shape[2:] if area is None else (*shape[2 : len(shape) - len(area.sizes)], *area.sizes)
        weights = torch.full((1, 1, *sizes), self.strength)
        if area is not None:
            _feather(weights, area, shape)
        return weights


def build_entries(
    conditioning: Iterable[Sequence[Any]],
    network: Network,
    levels: Levels,
    *,
    shape: torch.Size,
    device: torch.device,
    is_negative: bool = False,
    defaults: Mapping[str, Any] | None = None,
    hooked: Callable[[HookGroup], HookedNetwork] | None = None,
) -> list[Entry]:
    """Build the entries of a conditioning. ``shape`` is that of the latent. ``defaults``: values for options that an
    entry lacks. ``hooked``: returns the network under hooks; without it, hooks are ignored."""
    made = []
    for context, given in conditioning:
        options = {**(defaults or {}), **given}
        mask = _mask(options.get("mask"), shape, device)
        area = _area(options.get("area"), shape)
        if mask is not None and options.get("set_area_to_bounds", False):
            area = _bounds(mask)
        made.append(
            Entry(
                inputs=network.prepare_inputs(context, options, shape=shape, device=device, is_negative=is_negative),
                area=area,
                mask=mask,
                strength=options.get("strength", 1.0),
                mask_strength=options.get("mask_strength", 1.0),
                first=min(_levels(options, ("start_percent", "clip_start_percent"), levels), default=None),
                last=max(_levels(options, ("end_percent", "clip_end_percent"), levels), default=None),
                control=options.get("control"),
                shares_control=options.get("control_apply_to_uncond", False),
                hooked=hooked(options["hooks"]) if hooked and isinstance(options.get("hooks"), HookGroup) else None,
                is_default=options.get("default", False),
            )
        )
    return made


def with_matching_areas(one: list[Entry], other: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Give both sides entries for the same areas: an area's prediction is weighed against the other side's prediction
    for that area. A side without its own entry for an area gets one with the conditioning of its smallest entry around
    it."""
    more_one = [entry for source in other if (entry := _for_area(source, one)) is not None]
    more_other = [entry for source in one if (entry := _for_area(source, other)) is not None]
    return _with_shared_control(one + more_one, other + more_other)


def _with_shared_control(one: list[Entry], other: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Apply the first side's control networks to the second side too, if an entry asks for it and the second side has
    none."""
    shared = next((entry.control for entry in one if entry.shares_control), None)
    if shared is None:
        return one, other
    return one, [entry if entry.control is not None else replace(entry, control=shared) for entry in other]


def _for_area(source: Entry, entries: list[Entry]) -> Entry | None:
    if source.area is None or any(entry.area == source.area for entry in entries):
        return None
    around = [entry for entry in entries if entry.area is None or entry.area.covers(source.area)]
    if not around:
        return None

    def size(entry: Entry) -> float:
        return float("inf") if entry.area is None else math.prod(entry.area.sizes)

    smallest = min(around, key=size)
    return replace(source, inputs=smallest.inputs)


def _feather(weights: torch.Tensor, area: Area, shape: torch.Size) -> None:
    first = len(shape) - len(area.sizes)
    for dimension, (length, start) in enumerate(zip(area.sizes, area.starts, strict=True), start=first):
        feather = min(FEATHER, length // 4)
        for step in range(feather):
            factor = (step + 1) / feather
            if start:
                weights.narrow(dimension, step, 1).mul_(factor)
            if start + length < shape[dimension]:
                weights.narrow(dimension, length - 1 - step, 1).mul_(factor)


def _area(area: Any, shape: torch.Size) -> Area | None:
    """Sizes, then starts, of the last dimensions of the latent; those of more dimensions than it has are dropped."""
    if area is None:
        return None
    is_relative = area[0] == "percentage"
    numbers = area[1:] if is_relative else area
    count = len(numbers) // 2
    kept = min(count, len(shape) - 2)
    ends = shape[-kept:]
    sizes, starts = numbers[:count][-kept:], numbers[count:][-kept:]
    if is_relative:
        sizes = [max(1, round(part * end)) for part, end in zip(sizes, ends, strict=True)]
        starts = [round(part * end) for part, end in zip(starts, ends, strict=True)]
    return Area(
        tuple(int(size) for size in sizes),
        tuple(min(int(start), end - 1) for start, end in zip(starts, ends, strict=True)),
    )


def _mask(mask: torch.Tensor | None, shape: torch.Size, device: torch.device) -> torch.Tensor | None:
    if mask is None:
        return None
    planes = mask.to(device, torch.float32).reshape(-1, 1, *mask.shape[-2:])
    if planes.shape[-2:] != shape[-2:]:
        planes = functional.interpolate(planes, size=tuple(shape[-2:]), mode="bilinear", align_corners=False)
    planes = planes[:, 0]
    return repeated(planes, len(planes) if len(planes) == 1 else shape[0])


def _bounds(mask: torch.Tensor) -> Area:
    """The smallest area that contains the mask, at least 8 latent pixels per side from where the mask begins. An empty
    mask has no weight anywhere, so any area is correct for it."""
    marked = mask.abs().amax(dim=0) > 0
    rows, columns = marked.any(dim=1).nonzero().flatten(), marked.any(dim=0).nonzero().flatten()
    if not len(rows):
        return Area((SMALLEST_AREA, SMALLEST_AREA), (0, 0))
    height = max(SMALLEST_AREA, int(rows[-1] - rows[0]) + 1)
    width = max(SMALLEST_AREA, int(columns[-1] - columns[0]) + 1)
    return Area((height, width), (int(rows[0]), int(columns[0])))


def _levels(options: Mapping[str, Any], names: Iterable[str], levels: Levels) -> list[float]:
    return [levels.sigma_at(options[name]) for name in names if name in options]
