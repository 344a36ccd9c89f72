"""Conditioning as sampling uses it: what conditions the network, in which area, and during which range of the steps.

The options are those that conditioning nodes set: ``area`` (height, width, y, x in latent pixels, or as fractions after
the word "percentage"), ``mask``, ``set_area_to_bounds``, ``strength``, ``mask_strength``, ``start_percent`` and
``end_percent``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn import functional

from safelight.models.network import Network
from safelight.models.network_hooks import Control
from safelight.models.sampling.levels import Levels
from safelight.models.weight_hooks import HookedNetwork, HookGroup

FEATHER = 8
"""The maximum number of latent pixels over which an area fades into its surroundings; for a small area, a quarter of
its side."""
SMALLEST_AREA = 8


class Area(NamedTuple):
    """May reach beyond the latent's border: areas are compared as requested, and cropped where they are used."""

    height: int
    width: int
    y: int
    x: int

    def cut(self, planes: torch.Tensor) -> torch.Tensor:
        return planes[..., self.y : self.y + self.height, self.x : self.x + self.width]

    def within(self, shape: torch.Size) -> "Area":
        height, width = shape[-2] - self.y, shape[-1] - self.x
        return Area(min(self.height, height), min(self.width, width), self.y, self.x)

    def covers(self, other: "Area") -> bool:
        return (
            self.y <= other.y
            and self.x <= other.x
            and self.y + self.height >= other.y + other.height
            and self.x + self.width >= other.x + other.width
        )


class ControlSource(Protocol):
    """The residuals of control networks: see :class:`safelight.models.control.control_network.AppliedControl`."""

    def residuals_at(
        self,
        sigma: torch.Tensor,
        levels: Levels,
        x: torch.Tensor,
        timestep: torch.Tensor,
        *,
        context: torch.Tensor,
        keywords: Mapping[str, Any],
    ) -> Control | None: ...


@dataclass(frozen=True, eq=False)
class Entry:
    """One conditioning. ``keywords``: those of :class:`safelight.models.network.Predict`. ``mask [B, h, w]`` in latent
    pixels. ``first`` and ``last``: the highest and the lowest noise level at which it is active."""

    context: torch.Tensor
    keywords: Mapping[str, torch.Tensor] = field(repr=False)
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
        """The weight at each position of its area, ``[1 or B, 1, h, w]``."""
        if self.mask is not None:
            mask = self.mask if self.area is None else self.area.cut(self.mask)
            return mask[:, None] * (self.strength * self.mask_strength)
        area = (self.area or Area(shape[-2], shape[-1], 0, 0)).within(shape)
        weights = torch.full((1, 1, area.height, area.width), self.strength)
        if self.area is not None:
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
                context=context.to(device, torch.float32),
                keywords=network.prepare_conditioning(options, shape=shape, device=device, is_negative=is_negative),
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
        return float("inf") if entry.area is None else entry.area.height * entry.area.width

    smallest = min(around, key=size)
    return replace(source, context=smallest.context, keywords=smallest.keywords)


def _feather(weights: torch.Tensor, area: Area, shape: torch.Size) -> None:
    for dimension, start, length, whole in ((2, area.y, area.height, shape[-2]), (3, area.x, area.width, shape[-1])):
        feather = min(FEATHER, length // 4)
        for step in range(feather):
            factor = (step + 1) / feather
            if start:
                weights.narrow(dimension, step, 1).mul_(factor)
            if start + length < whole:
                weights.narrow(dimension, length - 1 - step, 1).mul_(factor)


def _area(area: Any, shape: torch.Size) -> Area | None:
    if area is None:
        return None
    height, width = shape[-2], shape[-1]
    if area[0] == "percentage":
        _, h, w, y, x = area
        area = (max(1, round(h * height)), max(1, round(w * width)), round(y * height), round(x * width))
    h, w, y, x = (int(number) for number in area)
    return Area(h, w, min(y, height - 1), min(x, width - 1))


def _mask(mask: torch.Tensor | None, shape: torch.Size, device: torch.device) -> torch.Tensor | None:
    if mask is None:
        return None
    planes = mask.to(device, torch.float32).reshape(-1, 1, *mask.shape[-2:])
    if planes.shape[-2:] != shape[-2:]:
        planes = functional.interpolate(planes, size=tuple(shape[-2:]), mode="bilinear", align_corners=False)
    planes = planes[:, 0]
    if len(planes) not in (1, shape[0]):
        planes = planes.repeat(-(-shape[0] // len(planes)), 1, 1)[: shape[0]]
    return planes


def _bounds(mask: torch.Tensor) -> Area:
    """The smallest area that contains the mask, at least 8 latent pixels per side from where the mask begins. An empty
    mask has no weight anywhere, so any area is correct for it."""
    marked = mask.abs().amax(dim=0) > 0
    rows, columns = marked.any(dim=1).nonzero().flatten(), marked.any(dim=0).nonzero().flatten()
    if not len(rows):
        return Area(SMALLEST_AREA, SMALLEST_AREA, 0, 0)
    height = max(SMALLEST_AREA, int(rows[-1] - rows[0]) + 1)
    width = max(SMALLEST_AREA, int(columns[-1] - columns[0]) + 1)
    return Area(height, width, int(rows[0]), int(columns[0]))


def _levels(options: Mapping[str, Any], names: Iterable[str], levels: Levels) -> list[float]:
    return [levels.sigma_at(options[name]) for name in names if name in options]
