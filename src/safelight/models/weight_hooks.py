"""Weight changes that apply only to some conditionings, or during a part of sampling: the value on ``HOOKS`` links."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from safelight.models.network import Network
from safelight.models.weight_layers import WeightLayer

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True, slots=True)
class Keyframe:
    """From ``start`` on (a point of sampling, 0..1), the strength of a change is multiplied by ``strength``."""

    start: float
    strength: float


class Changes(Protocol):
    """The source of changes: a LoRA (:class:`safelight.models.lora.file.Lora`), or another model."""

    def network_layer(self, network: Network) -> WeightLayer | None: ...

    def text_layer(self, shapes: Shapes) -> WeightLayer | None: ...


@dataclass(frozen=True, eq=False)
class WeightHook:
    changes: Changes
    strength_model: float
    strength_text: float
    keyframes: tuple[Keyframe, ...] = ()

    def keyframe_strength(self, progress: float) -> float:
        """The factor on its strength at a point of sampling; before the first keyframe, that of the first."""
        if not self.keyframes:
            return 1.0
        begun = [frame for frame in self.keyframes if frame.start <= progress]
        return (begun[-1] if begun else self.keyframes[0]).strength


@dataclass(frozen=True, eq=False)
class HookGroup:
    hooks: tuple[WeightHook, ...] = ()

    def clone_and_combine(self, other: "HookGroup | None") -> "HookGroup":
        """The hooks of both, under the name that node packs call."""
        return self if other is None else HookGroup((*self.hooks, *other.hooks))

    def with_keyframes(self, keyframes: Iterable[Keyframe]) -> "HookGroup":
        frames = tuple(sorted(keyframes, key=lambda frame: frame.start))
        return HookGroup(tuple(replace(hook, keyframes=frames) for hook in self.hooks))

    def starts(self) -> list[float]:
        """The points of sampling at which a strength changes; 0 is the first."""
        return sorted({0.0, *(frame.start for hook in self.hooks for frame in hook.keyframes)})

    def text_layers(self, shapes: Shapes, *, progress: float | None) -> list[WeightLayer]:
        """``progress``: a point of sampling, or ``None`` to ignore keyframes."""
        layers = []
        for hook in self.hooks:
            strength = hook.strength_text * (1.0 if progress is None else hook.keyframe_strength(progress))
            if strength and (layer := hook.changes.text_layer(shapes)) is not None:
                layers.append(layer.with_strength(strength))
        return layers


@dataclass(eq=False)
class HookedNetwork:
    """A network under the hooks of some conditionings, for one run. Each layer that was made is kept, because layers
    are equal only to themselves."""

    network: Network
    group: HookGroup
    sigma_at: Callable[[float], float]
    _layers: dict[WeightHook, WeightLayer | None] = field(default_factory=dict)
    _made: dict[tuple[float, ...], Network] = field(default_factory=dict)

    def at(self, sigma: float) -> Network:
        starts: Sequence[float] = self.group.starts()
        progress = max((start for start in starts if self.sigma_at(start) >= sigma), default=0.0)
        strengths = tuple(hook.strength_model * hook.keyframe_strength(progress) for hook in self.group.hooks)
        if strengths not in self._made:
            layers = [self._layer(hook, strength) for hook, strength in zip(self.group.hooks, strengths, strict=True)]
            self._made[strengths] = self.network.with_layers(*(layer for layer in layers if layer is not None))
        return self._made[strengths]

    def _layer(self, hook: WeightHook, strength: float) -> WeightLayer | None:
        if not strength:
            return None
        if hook not in self._layers:
            self._layers[hook] = hook.changes.network_layer(self.network)
        layer = self._layers[hook]
        return layer and layer.with_strength(strength)
