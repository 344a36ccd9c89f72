"""What conditions a network: a frozen value of its family, which samplers batch and crop without looking inside."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch

from safelight.core.errors import Invalid

SPATIAL = {"spatial": True}
"""The metadata of a field of :class:`Inputs` with the latent's spatial dimensions, ``[B, C, *spatial]`` or ``None``."""


class WrongConditioning(Invalid):
    """The conditioning is of another model family than the network, usually because of its text encoder."""

    code = "wrong_conditioning"


@dataclass(frozen=True, eq=False)
class Inputs:
    """The base of every family's inputs.

    A field holds a tensor whose first dimension is the batch, a tuple of such tensors, ``None``, or a plain value that
    is the same for the whole batch. Law: a network's result for one item depends on that item's part alone.
    """

    def batch_key(self) -> Hashable:
        """Inputs with equal keys can be joined into one batch."""
        return type(self), tuple(_key(getattr(self, own.name)) for own in fields(self))

    def cropped(self, crop: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """With ``crop`` applied to the fields that have the latent's spatial dimensions."""
        names = [own.name for own in fields(self) if own.metadata.get("spatial")]
        return replace(self, **{n: crop(value) for n in names if (value := getattr(self, n)) is not None})

    def for_items(self, count: int) -> Self:
        """Repeated until there is one for each of ``count`` items."""
        return replace(
            self, **{own.name: _map(lambda t: repeated(t, count), getattr(self, own.name)) for own in fields(self)}
        )

    def joined(self, others: Sequence[Self]) -> Self:
        """One batch of these and ``others``, which have the same :meth:`batch_key`."""
        made: dict[str, Any] = {}
        for own in fields(self):
            values = [getattr(item, own.name) for item in (self, *others)]
            made[own.name] = _joined(values)
        return replace(self, **made)


def repeated(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """The batch repeated and cut to ``count`` items."""
    if len(tensor) == count:
        return tensor
    return tensor.repeat(-(-count // len(tensor)), *[1] * (tensor.dim() - 1))[:count]


def _key(value: Any) -> Hashable:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape[1:])
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    return value  # type: ignore[no-any-return]


def _map(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    return tuple(_map(change, item) for item in value) if isinstance(value, tuple) else value


def _joined(values: Sequence[Any]) -> Any:
    if isinstance(values[0], torch.Tensor):
        return torch.cat(list(values))
    if isinstance(values[0], tuple):
        return tuple(_joined(items) for items in zip(*values, strict=True))
    return values[0]
