"""Latents of several kinds that a model denoises together, such as a video and its sound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NestedTensor:
    """Tensors of unlike shapes, side by side."""

    tensors: Sequence[torch.Tensor]

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "NestedTensor":
        return NestedTensor([change(tensor) for tensor in self.tensors])
