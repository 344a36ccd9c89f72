"""The two operations that take a network's time, on weights in the order in which oneDNN computes.

Given a dense weight, a convolution sorts it anew at each call, which costs as much as the convolution itself where
pictures are small; a weight that was packed once costs nothing. See ADR 0026.
"""

import platform
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

    Kernels of one pixel are computed as the matrices that they are: their best order changes with the picture's size.
    """

    def packed(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, float32, as it is packed; the same values, bytes and shape."""
        where = (self.padding, self.stride, self.dilation, self.groups)
        packed: torch.Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *where)  # type: ignore
        return packed

    @property
    def is_matrix(self) -> bool:
        return self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0) and self.groups == 1

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.weight.is_mkldnn:
            where = (self.padding, self.stride, self.dilation, self.groups)
            return _call("_convolution_pointwise", input, self.weight, self.bias, *where)
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
