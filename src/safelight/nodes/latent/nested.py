"""Latents of several kinds that a model denoises together, such as a video and its audio."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class NestedTensor:
    """Several tensors of different shapes."""

    tensors: Sequence[torch.Tensor]

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "NestedTensor":
        return NestedTensor([change(tensor) for tensor in self.tensors])
