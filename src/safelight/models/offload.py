"""Networks larger than the free memory of their device: some weights stay in main memory, and are copied to the device
only for the call that needs them.

A network calls each layer about once per step, so a step costs the transfer of all offloaded bytes, whichever weights
they are. Few large transfers wait less than many small ones, so the largest layers are offloaded first.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from safelight.models.quant.layers import QuantizedLinear

LEAVES = (nn.Linear, nn.Conv2d, QuantizedLinear)
"""Only these modules read their weights nowhere but in their own call."""


class AvailableBytes(Protocol):
    """Bytes of weights that a device can take now; ``None`` if no limit is known."""

    def __call__(self, device: torch.device) -> int | None: ...


def available_bytes(device: torch.device) -> int | None:
    """For a GPU: the free memory, less a share for activations. Main memory is not limited: it takes the offloaded
    weights."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + unused - max(1 << 30, 0.15 * total))


def choose_offloaded(module: nn.Module, dtype: torch.dtype, *, available: int | None) -> frozenset[str]:
    """The names of the weights that do not fit into ``available`` bytes on the device. Empty if all fit.

    Space is reserved for the largest of them, which is copied to the device for its call."""
    if available is None:
        return frozenset()
    leaves = sorted(_leaves(module), key=lambda leaf: leaf[1].weight.numel(), reverse=True)
    here = sum(_size(tensor, dtype) for tensor in module.state_dict().values())
    offloaded: set[str] = set()
    largest = 0
    for name, leaf in leaves:
        if here + largest <= available:
            break
        size = sum(_size(parameter, dtype) for parameter in leaf.parameters(recurse=False))
        here, largest = here - size, max(largest, size)
        offloaded.update(f"{name}.{own}" for own, _ in leaf.named_parameters(recurse=False))
    return frozenset(offloaded)


def _size(tensor: torch.Tensor, dtype: torch.dtype) -> int:
    """Bytes of a weight in a network that computes in ``dtype``; quantised codes stay as they are."""
    return tensor.numel() * (dtype.itemsize if tensor.is_floating_point() else tensor.dtype.itemsize)


def load_for_each_call(
    module: nn.Module, offloaded: Collection[str], move: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Copy the ``offloaded`` weights to the device with ``move`` for each call of their layer, and drop the copy after
    it."""
    for name, leaf in _leaves(module):
        if f"{name}.weight" in offloaded:
            _load_leaf_for_each_call(leaf, move)


def _load_leaf_for_each_call(leaf: nn.Module, move: Callable[[torch.Tensor], torch.Tensor]) -> None:
    home: dict[str, nn.Parameter | None] = {}

    def bring(leaf: nn.Module, arguments: Any) -> None:
        home.update(leaf._parameters)
        for own, parameter in home.items():
            if parameter is not None:
                leaf._parameters[own] = nn.Parameter(move(parameter.data), requires_grad=False)

    def send_back(leaf: nn.Module, arguments: Any, result: Any) -> None:
        leaf._parameters.update(home)

    leaf.register_forward_pre_hook(bring)
    leaf.register_forward_hook(send_back, always_call=True)


def _leaves(module: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d | QuantizedLinear]]:
    for name, part in module.named_modules():
        # PyTorch's attention reads the weights of that one without calling it.
        if isinstance(part, LEAVES) and not isinstance(part, NonDynamicallyQuantizableLinear):
            yield name, part
