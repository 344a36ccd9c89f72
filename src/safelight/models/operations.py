"""The two operations that take a network's time, on weights in the order in which oneDNN computes.

Given a dense weight, a convolution sorts it at each call, which costs as much as the convolution itself where pictures
are small; a packed weight costs nothing. A linear layer has one order. The best order of a convolution changes with the
size of its input, and in another one's it can take ten times as long: a convolution sorts its weight when a size is new
to it. See ADR 0026.
"""

import platform
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import nn
from torch.nn import functional

SMALLEST = 1 << 16
"""Numbers of a weight below which sorting it costs nothing."""


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether weights are packed for this device and type."""
    return (
        device.type == "cpu"
        and dtype is torch.float32
        and platform.machine() in ("x86_64", "AMD64")
        and torch._C._has_mkldnn
    )


def gains(operation: nn.Module) -> TypeGuard["Conv2d | Linear"]:
    """Whether it computes faster with a packed weight."""
    if isinstance(operation, Conv2d) and operation.is_matrix:
        return False
    return isinstance(operation, Conv2d | Linear) and operation.weight.numel() >= SMALLEST


class Conv2d(nn.Conv2d):
    """As PyTorch's with zeros as padding, and with a packed weight as well.

    Kernels of one pixel are computed as the matrices that they are, which need no order.
    """

    ordered_for: torch.Size | None = None
    """The input whose order the weight has; none: as it was read."""
    on_ordered: Callable[[torch.Tensor, torch.Size], None] | None = None
    """Told of each new order, so that whoever shares the weight has it too and lets go of the old one."""

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, float32, as it waits for its first input; the same values, bytes and shape."""
        return weight.to_mkldnn()

    def adopt(self, weight: torch.Tensor, ordered_for: torch.Size) -> None:
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.ordered_for = ordered_for

    def _ordered(self, size: torch.Size) -> torch.Tensor:
        """The weight in the best order for an input of this size. A batch that alternates between two sizes sorts at
        each call, as a dense weight does at all."""
        if self.ordered_for != size:
            where = (self.padding, self.stride, self.dilation, self.groups)
            weight: torch.Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(self.weight, *where, list(size))  # type: ignore
            self.adopt(weight, size)
            if self.on_ordered is not None:
                self.on_ordered(weight, size)
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
    """As PyTorch's, and with a packed weight as well."""

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, float32, as it is packed; the same values, bytes and shape."""
        packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        return packed

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.weight.is_mkldnn:
            return super().forward(input)
        return _call("_linear_pointwise", input, self.weight, self.bias)


def _call(name: str, *arguments: Any) -> torch.Tensor:
    result: torch.Tensor = getattr(torch.ops.mkldnn, name)(*arguments, "none", [], "")
    return result
