"""Changes of a network's weights, as immutable layers over shared weights that are never written to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch


class WeightPatch(Protocol):
    """The change of one weight. Immutable; law: ``apply`` returns equal values for equal arguments and writes to
    neither."""

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        """The changed weight: same shape, float32. ``weight`` is float32, with the layers below already applied."""
        ...


@dataclass(frozen=True, slots=True)
class WeightPart:
    """A module of a network, or a range of the rows of its weight and bias: files keep query, key and value of an
    attention in one matrix, and LoRA files name them one by one."""

    module: str
    rows: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class RowPatches:
    """Patches of ranges of a weight's rows."""

    parts: tuple[tuple[tuple[int, int], WeightPatch], ...]

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        changed = weight.clone()
        for (start, end), patch in self.parts:
            changed[start:end] = patch.apply(changed[start:end], strength)
        return changed


@dataclass(frozen=True, eq=False)
class WeightLayer:
    """The changes by one file or one node; equal only to itself.

    ``patches`` is keyed by canonical names: the original ones below ``model.diffusion_model.`` for a diffusion network
    (``input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight``), those of transformers for a text encoder
    (``text_model.encoder.layers.0.self_attn.q_proj.weight``). Names that the network lacks are ignored; compare them
    with ``Network.shapes`` when making a layer."""

    name: str
    patches: Mapping[str, WeightPatch] = field(repr=False)
    strength: float = 1.0

    def below(self, prefix: str) -> "WeightLayer":
        """The patches of weights whose names begin with ``prefix``, without it."""
        own = {name.removeprefix(prefix): patch for name, patch in self.patches.items() if name.startswith(prefix)}
        return replace(self, patches=own)

    def with_strength(self, strength: float) -> "WeightLayer":
        """A copy with this strength that shares the patches."""
        return replace(self, strength=strength)
