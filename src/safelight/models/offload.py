"""Networks larger than the room on their device: some weights stay in main memory, and come to the device for the one
call that needs them.

A network calls each layer about once a step, so that a step costs the transfer of what is away, whichever it is; few
large layers are moved with less waiting than many small ones, and so the largest go first.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

LEAVES = (nn.Linear, nn.Conv2d)
"""Only these read their weights nowhere but in their own call."""


class Room(Protocol):
    """How many bytes of weights a device may take now; ``None``: no limit is known."""

    def __call__(self, device: torch.device) -> int | None: ...


def free_room(device: torch.device) -> int | None:
    """Of a GPU: what is free, less a share for activations. Main memory is not limited: it is where the others go."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + unused - max(1 << 30, 0.15 * total))


def stay_away(module: nn.Module, dtype: torch.dtype, *, room: int | None) -> frozenset[str]:
    """The names of the weights that find no ``room`` (bytes) on the device. Empty where all do.

    Room is kept for the largest of them, which visits it.
    """
    if room is None:
        return frozenset()
    leaves = sorted(_leaves(module), key=lambda leaf: leaf[1].weight.numel(), reverse=True)
    here = sum(tensor.numel() for tensor in module.state_dict().values()) * dtype.itemsize
    away: set[str] = set()
    visitor = 0
    for name, leaf in leaves:
        if here + visitor <= room:
            break
        size = sum(parameter.numel() for parameter in leaf.parameters(recurse=False)) * dtype.itemsize
        here, visitor = here - size, max(visitor, size)
        away.update(f"{name}.{own}" for own, _ in leaf.named_parameters(recurse=False))
    return frozenset(away)


def let_visit(module: nn.Module, away: Collection[str], move: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Bring the weights named ``away`` to the device with ``move`` for each call of their layer, and no longer."""
    for name, leaf in _leaves(module):
        if f"{name}.weight" in away:
            _let_leaf_visit(leaf, move)


def _let_leaf_visit(leaf: nn.Module, move: Callable[[torch.Tensor], torch.Tensor]) -> None:
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


def _leaves(module: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    for name, part in module.named_modules():
        # PyTorch's attention reads the weights of that one without calling it.
        if isinstance(part, LEAVES) and not isinstance(part, NonDynamicallyQuantizableLinear):
            yield name, part
