"""Latents of several kinds that a model denoises together, such as a video and its audio."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class NestedTensor:
    """Several tensors of different shapes, with the same batch size."""

    tensors: Sequence[torch.Tensor]
    is_nested = True
    """As tensors have it, for code that takes both."""

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "NestedTensor":
        return NestedTensor([change(tensor) for tensor in self.tensors])

    def unbind(self) -> list[torch.Tensor]:
        return list(self.tensors)

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(self.tensors)

    @property
    def shape(self) -> torch.Size:
        """That of the first, for code that takes both."""
        return self.tensors[0].shape

    def __len__(self) -> int:
        return len(self.tensors[0])


Samples = torch.Tensor | NestedTensor
"""A latent's samples: of one kind, or of several."""


def first_part(samples: Samples) -> torch.Tensor:
    """The part that is shown: of a video with audio, the video."""
    return samples.tensors[0] if isinstance(samples, NestedTensor) else samples


@dataclass(frozen=True)
class Packing:
    """Several tensors side by side in one, ``[B, 1, n]``, for code that works on each value alone. ``shapes``: those of
    the tensors."""

    shapes: tuple[torch.Size, ...]

    @classmethod
    def of(cls, nested: NestedTensor) -> "Packing":
        return cls(tuple(tensor.shape for tensor in nested))

    def pack(self, nested: NestedTensor) -> torch.Tensor:
        return torch.cat([tensor.reshape(len(tensor), 1, -1) for tensor in nested], dim=-1)

    def unpack(self, packed: torch.Tensor) -> NestedTensor:
        """The batch may be of another size than that of :attr:`shapes`."""
        parts = torch.split(packed[:, 0], [math.prod(shape[1:]) for shape in self.shapes], dim=1)
        return NestedTensor(
            [part.reshape(len(part), *shape[1:]) for part, shape in zip(parts, self.shapes, strict=True)]
        )
