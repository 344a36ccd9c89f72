"""The formulas of the LoRA dialects: a weight's change from factors, in the weight's own precision (float32).

Cores are those of Tucker decompositions of convolutions: one dimension for each factor, then those of the kernel.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


class Change(Protocol):
    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        """What is added at strength 1, in a shape that can be reshaped to the weight's and has its first dimension.
        Raises :class:`RuntimeError` or :class:`IndexError` for factors that do not match."""
        ...


@dataclass(frozen=True, eq=False)
class AdditivePatch:
    """``W + strength * delta``."""

    change: Change

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        return weight + strength * _delta(self.change, weight)


@dataclass(frozen=True, eq=False)
class DoraPatch:
    """DoRA (Liu et al. 2024, equation 5): ``V = W + delta``, with each column scaled to its learned length, ``m * V /
    |V|``; a strength below 1 interpolates linearly. Columns are the weight's inputs, or its outputs if ``magnitude``
    has as many numbers as the weight has rows."""

    change: Change
    magnitude: torch.Tensor

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        moved = weight + _delta(self.change, weight)
        axis = 0 if self.magnitude.shape[0] == weight.shape[0] else 1
        others = [dimension for dimension in range(weight.dim()) if dimension != axis]
        length = torch.linalg.vector_norm(moved, dim=others, keepdim=True).clamp_min(torch.finfo(moved.dtype).eps)
        learned: torch.Tensor = moved * (self.magnitude.to(weight).reshape(length.shape) / length)
        return weight + strength * (learned - weight)


def fits(patch: AdditivePatch | DoraPatch, shape: torch.Size) -> bool:
    """Whether the patch can be applied to a weight of this shape; it is tried on one without data."""
    try:
        patch.apply(torch.empty(shape, device="meta"), 1.0)
    except (RuntimeError, IndexError):
        return False
    return True


@dataclass(frozen=True, eq=False)
class Product:
    """``a @ b``; with a core, the core multiplied by ``a [rank, out]`` and ``b [rank', in]`` along its first two
    dimensions."""

    a: torch.Tensor
    b: torch.Tensor
    core: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        return self.b.shape[0]

    def value(self, like: torch.Tensor) -> torch.Tensor:
        a, b = self.a.to(like).flatten(1), self.b.to(like).flatten(1)
        if self.core is None:
            return a @ b
        return torch.einsum("pq...,po,qi->oi...", self.core.to(like), a, b)


@dataclass(frozen=True, eq=False)
class FullFactor:
    """A factor that is stored in full."""

    tensor: torch.Tensor

    def value(self, like: torch.Tensor) -> torch.Tensor:
        return self.tensor.to(like)


@dataclass(frozen=True, eq=False)
class LowRank:
    """LoRA (Hu et al. 2021): ``up @ down``; for a convolution with a core, ``down`` before the core and ``up`` after
    it."""

    product: Product
    alpha: float | None

    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        return self.product.value(weight) * _scale(self.alpha, self.product.rank)


@dataclass(frozen=True, eq=False)
class Hadamard:
    """LoHa (Hyeon-Woo et al., "FedPara", 2022, propositions 2 and 3): the elementwise product of two products."""

    one: Product
    other: Product
    alpha: float | None

    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        return self.one.value(weight) * self.other.value(weight) * _scale(self.alpha, self.one.rank)


@dataclass(frozen=True, eq=False)
class Kronecker:
    """LoKr (Yeh et al., "Navigating Text-To-Image Customization", 2024, section 3.2): the Kronecker product; for a
    convolution the second factor has the kernel. The scale applies only if a factor has low rank."""

    one: FullFactor | Product
    other: FullFactor | Product
    alpha: float | None

    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        one, other = self.one.value(weight), self.other.value(weight)
        if other.dim() < weight.dim():
            other = other.reshape(other.shape[0], -1, *weight.shape[2:])
        low = next((factor for factor in (self.other, self.one) if isinstance(factor, Product)), None)
        scale = 1.0 if low is None else _scale(self.alpha, low.rank)
        return torch.kron(one.reshape(*one.shape, *[1] * (other.dim() - one.dim())), other) * scale


@dataclass(frozen=True, eq=False)
class FullDifference:
    """A difference that is stored in full."""

    difference: torch.Tensor

    def delta(self, weight: torch.Tensor) -> torch.Tensor:
        return self.difference.to(weight)


def _scale(alpha: float | None, rank: int) -> float:
    return 1.0 if alpha is None else alpha / rank


def _delta(change: Change, weight: torch.Tensor) -> torch.Tensor:
    delta = change.delta(weight)
    if delta.shape[0] != weight.shape[0]:
        raise RuntimeError(f"the change has {delta.shape[0]} rows, the weight {weight.shape[0]}")
    return delta.reshape(weight.shape)
