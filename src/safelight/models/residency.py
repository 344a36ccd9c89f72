"""Which networks are in memory: the one owner of weights and devices.

Weights are kept once for each device and type, whatever layers stand over them; a network under layers shares every
tensor that they do not change. What nobody uses is let go, the longest unused first, where memory runs short; a network
that finds no room even then leaves some of its weights in main memory (``models/offload.py``).
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from safelight.models.offload import Room, free_room, let_visit, stay_away
from safelight.models.operations import Conv2d, Linear, gains, packs
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import UnknownWeights, Weights

KEPT_SHARE = 0.5
"""Of the memory that a device has, what unused networks may fill."""


def compute_device() -> torch.device:
    """Where networks compute: the first GPU that this process may see, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Key(NamedTuple):
    weights: Weights
    layers: tuple[WeightLayer, ...]
    device: torch.device
    dtype: torch.dtype
    rounds: bool


@dataclass(eq=False)
class _Held:
    """A network in memory. ``own``: bytes on its device of the tensors that it does not share; ``away``: the names of
    those that are elsewhere."""

    module: nn.Module
    tensors: dict[str, torch.Tensor]
    own: int
    away: frozenset[str] = frozenset()
    users: int = 0


@dataclass(eq=False)
class Residency:
    """``budget``: bytes for what is not in use; by default a share of the device's memory. ``room``: for the next."""

    budget: int | None = None
    room: Room = free_room
    _held: dict[_Key, _Held] = field(default_factory=dict)
    """The longest unused first."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def use(
        self,
        weights: Weights,
        layers: tuple[WeightLayer, ...],
        build: Callable[[], nn.Module],
        *,
        device: torch.device,
        dtype: torch.dtype,
        rounds: bool = False,
    ) -> Iterator[Any]:
        """The network that ``build`` makes (without numbers), with these weights under these layers, until the context
        ends. Weights that it does not know are left out; for one that is missing, raises :class:`UnknownWeights`.
        ``rounds``: what layers change is rounded to the type of the file, as if it had been written back."""
        key = _Key(weights, layers, device, dtype, rounds)
        with self._lock:
            held = self._obtain(key, build)
            held.users += 1
        try:
            yield held.module
        finally:
            with self._lock:
                held.users -= 1
                self._make_room(device)

    def size(self) -> int:
        """Bytes of everything held."""
        return sum(held.own for held in self._held.values())

    def files(self) -> frozenset[Path]:
        """Whose weights are held."""
        with self._lock:
            held = list(self._held)
        return frozenset(source.file.path for key in held for source in key.weights.sources.values())

    def free(self) -> None:
        """Let go whatever is not in use."""
        with self._lock:
            for key in [key for key, held in self._held.items() if not held.users]:
                del self._held[key]

    def _obtain(self, key: _Key, build: Callable[[], nn.Module]) -> _Held:
        held = self._held.pop(key, None)
        if held is None or self._has_room_now(held, key.device):
            held = self._load(key, build)
        self._held[key] = held  # the youngest now
        return held

    def _load(self, key: _Key, build: Callable[[], nn.Module]) -> _Held:
        weights, layers, device, dtype, rounds = key
        with torch.device("meta"):
            module = build().eval().requires_grad_(False)
        if layers:
            base = self._obtain(key._replace(layers=()), build)
            changed, shared, away = _patched(weights, layers, device, rounds=rounds), base.tensors, base.away
        else:
            weights = _wanted(weights, module)
            self._make_room(device, coming=_bytes(weights, dtype))
            changed, shared = weights.read(), {}
            away = stay_away(module, dtype, room=self.room(device))
        own = _ready(changed, module, device, dtype, away=away)
        module.load_state_dict({**shared, **own}, strict=True, assign=True)
        for name, part in module.named_modules():
            if isinstance(part, Conv2d) and part.weight.is_mkldnn:
                part.on_ordered = partial(self._ordered, key, f"{name}.weight")
        let_visit(module, away, lambda tensor: tensor.to(device, non_blocking=True))
        here = sum(tensor.nbytes for name, tensor in own.items() if name not in away)
        return _Held(module, {**shared, **own}, here, away)

    def _ordered(self, key: _Key, name: str, weight: torch.Tensor, size: torch.Size) -> None:
        """Everybody who shares a weight gets it in its new order: it is kept once."""
        with self._lock:
            if (changed := self._held.get(key)) is None:
                return
            old = changed.tensors[name]
            for held in self._held.values():
                if held.tensors.get(name) is old:
                    held.tensors[name] = weight
                    part = held.module.get_submodule(name.removesuffix(".weight"))
                    assert isinstance(part, Conv2d)
                    part.adopt(weight, size)

    def _has_room_now(self, held: _Held, device: torch.device) -> bool:
        """Whether a network that had to leave weights elsewhere need not any more. Nothing moves while one computes."""
        if not held.away or any(other.users for other in self._held.values()):
            return False
        if (room := self.room(device)) is None:
            return False
        return sum(tensor.nbytes for tensor in held.tensors.values()) <= room + held.own

    def _make_room(self, device: torch.device, *, coming: int = 0) -> None:
        budget = self.budget if self.budget is not None else int(_memory(device) * KEPT_SHARE)
        for key in [key for key, held in self._held.items() if not held.users]:
            if self.size() + coming <= budget:
                return
            del self._held[key]


residency = Residency()
"""Of this process."""


def _wanted(weights: Weights, module: nn.Module) -> Weights:
    names = list(module.state_dict())
    missing = [name for name in names if name not in weights]
    if missing:
        files = sorted({source.file.path.name for source in weights.sources.values()})
        named = ", ".join(missing[:3])
        raise UnknownWeights(f"{' and '.join(files)} lack {len(missing)} of {len(names)} weights: {named} ...")
    return weights.only(names)


def _ready(
    tensors: Iterable[tuple[str, torch.Tensor]],
    module: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    *,
    away: frozenset[str],
) -> dict[str, torch.Tensor]:
    """As the module computes with them; those that are ``away`` in main memory, where a GPU can fetch them."""
    operations: dict[str, Conv2d | Linear] = {}
    if packs(device, dtype):
        operations = {f"{name}.weight": part for name, part in module.named_modules() if gains(part)}
    scratch = torch.empty(max((part.weight.numel() for part in operations.values()), default=0))

    def ready(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if name in away:
            kept = tensor.to(device="cpu", dtype=dtype)
            return kept.pin_memory() if device.type == "cuda" else kept.clone()
        if (operation := operations.get(name)) is None:
            return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)
        return operation.packed(scratch[: tensor.numel()].view(tensor.shape).copy_(tensor))

    return {name: ready(name, tensor) for name, tensor in tensors}


def _patched(
    weights: Weights, layers: tuple[WeightLayer, ...], device: torch.device, *, rounds: bool
) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights that the layers change, computed in float32."""
    names = [name for name in weights.sources if any(name in layer.patches for layer in layers)]
    for name, tensor in weights.read(names):
        value = tensor.to(device=device, dtype=torch.float32)
        for layer in layers:
            if (patch := layer.patches.get(name)) is not None and layer.strength:
                value = patch.apply(value, layer.strength)
        yield name, value.to(tensor.dtype) if rounds and tensor.is_floating_point() else value


def _bytes(weights: Weights, dtype: torch.dtype) -> int:
    return sum(shape.numel() for shape in weights.shapes.values()) * dtype.itemsize


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(file.readline().split()[1]) * 1024
