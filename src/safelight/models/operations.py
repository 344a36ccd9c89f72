"""Linear layers and convolutions, which take most of a network's time, on weights in the memory order that oneDNN
computes with.

With a dense weight, a convolution reorders it at every call, which costs as much as the convolution itself for small
images; a packed weight costs nothing. A linear layer has one order. The best order of a convolution depends on the size
of its input, and the order for another size can be ten times slower: a convolution reorders its weight when the input
size changes. See ADR 0026.
"""

import platform
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import nn
from torch.nn import functional

MIN_PACKED_NUMBERS = 1 << 16
"""Weights with fewer elements are not packed: reordering them costs nothing."""


def supports_packing(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether weights are packed for this device and type."""
    return (
        device.type == "cpu"
        and dtype is torch.float32
        and platform.machine() in ("x86_64", "AMD64")
        and torch._C._has_mkldnn
    )


def benefits_from_packing(operation: nn.Module) -> TypeGuard["Conv2d | Linear"]:
    """Whether a module computes faster with a packed weight."""
    if isinstance(operation, Conv2d) and operation.is_matrix:
        return False
    return isinstance(operation, Conv2d | Linear) and operation.weight.numel() >= MIN_PACKED_NUMBERS


class Conv2d(nn.Conv2d):
    """PyTorch's convolution with zero padding, which also accepts a packed weight.

    1x1 kernels are computed as matrix products, which need no order."""

    reordered_for: torch.Size | None = None
    """The input size that the weight is ordered for; ``None`` if it was never reordered."""
    on_reordered: Callable[[torch.Tensor, torch.Size], None] | None = None
    """Called with each new order, so that modules that share the weight use it too and drop the old one."""

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        """The float32 weight in packed form before its first input; same values, bytes and shape."""
        return weight.to_mkldnn()

    def set_reordered(self, weight: torch.Tensor, reordered_for: torch.Size) -> None:
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.reordered_for = reordered_for

    def _ordered(self, size: torch.Size) -> torch.Tensor:
        """The weight in the best order for an input of this size. A batch that alternates between two sizes reorders at
        every call, as a dense weight always does."""
        if self.reordered_for != size:
            where = (self.padding, self.stride, self.dilation, self.groups)
            weight: torch.Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(self.weight, *where, list(size))  # type: ignore
            self.set_reordered(weight, size)
            if self.on_reordered is not None:
                self.on_reordered(weight, size)
            return weight
        return self.weight

    @property
    def is_matrix(self) -> bool:
        return self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0) and self.groups == 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.weight.is_mkldnn:
            where = (self.padding, self.stride, self.dilation, self.groups)
            return _call("_convolution_pointwise", input, self._ordered(input.shape), self.bias, *where)
        if self.is_matrix and input.device.type == "cpu":
            return functional.linear(input.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
        return super().forward(input)


class Linear(nn.Linear):
    """PyTorch's linear layer, which also accepts a packed weight."""

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        """The float32 weight in packed form; same values, bytes and shape."""
        packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        return packed

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.weight.is_mkldnn:
            return super().forward(input)
        return _call("_linear_pointwise", input, self.weight, self.bias)


def _call(name: str, *arguments: Any) -> torch.Tensor:
    result: torch.Tensor = getattr(torch.ops.mkldnn, name)(*arguments, "none", [], "")
    return result
