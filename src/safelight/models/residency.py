"""The networks in memory: the only owner of weights and devices.

Weights are kept once per device and type, whatever layers are on top; a network under layers shares every tensor that
the layers do not change. Networks that are not in use are evicted when memory runs short, the least recently used
first. A network that still does not fit leaves some of its weights in main memory (``models/offload.py``).
"""

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from safelight.models.cancellation import stop_between_blocks
from safelight.models.offload import AvailableBytes, available_bytes, choose_offloaded, load_for_each_call
from safelight.models.operations import Conv2d, Linear, benefits_from_packing, supports_packing
from safelight.models.quant.layers import WrongShape, part_names, set_layers, use_quantized
from safelight.models.quant.stored import QuantizedEntry
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import UnknownWeights, Weights
from safelight.worker.context import worker_context

FLOAT32_SHARE = 0.5
"""The share of free main memory that a network may take in float32, on a CPU. A larger one keeps the matrices that its
file has in half precision, and converts each for its call."""
IDLE_SHARE = 0.5
"""The share of a device's memory that unused networks may fill."""

_HALF = {"BF16": torch.bfloat16, "F16": torch.float16}


def compute_device() -> torch.device:
    """The device that networks compute on: the first GPU visible to this process, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.xpu.is_available():
        return torch.device("xpu")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class _Key(NamedTuple):
    weights: Weights
    layers: tuple[WeightLayer, ...]
    device: torch.device
    dtype: torch.dtype
    rounds: bool


@dataclass(eq=False)
class _Resident:
    """A network in memory. ``own``: bytes on its device that it does not share; ``offloaded``: the names of the tensors
    in main memory."""

    module: nn.Module
    tensors: dict[str, torch.Tensor]
    own: int
    offloaded: frozenset[str] = frozenset()
    halves: Mapping[str, QuantizedEntry] = field(default_factory=dict)
    users: int = 0


@dataclass(eq=False)
class Residency:
    """``budget``: bytes for networks that are not in use, by default a share of the device's memory. ``available``:
    bytes that the next network can take. ``main_memory``: bytes that are free for this process."""

    budget: int | None = None
    available: AvailableBytes = available_bytes
    main_memory: Callable[[], int] = lambda: _meminfo("MemAvailable:")
    _resident: dict[_Key, _Resident] = field(default_factory=dict)
    """The least recently used first."""
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
        """Yield the network that ``build`` makes (without data), with these weights under these layers, until the
        context ends. Weights that it does not know are ignored; raises :class:`UnknownWeights` for a missing one.
        ``rounds``: weights changed by layers are rounded to the file's type, as if they had been written back."""
        key = _Key(weights, layers, device, dtype, rounds)
        with self._lock:
            resident = self._obtain(key, build)
            resident.users += 1
        try:
            yield resident.module
        finally:
            with self._lock:
                resident.users -= 1
                self._evict(device)

    def size(self) -> int:
        """Bytes of all resident networks."""
        return sum(resident.own for resident in self._resident.values())

    def files(self) -> frozenset[Path]:
        """The files whose weights are resident."""
        with self._lock:
            resident = list(self._resident)
        return frozenset(source.file.path for key in resident for source in key.weights.sources.values())

    def free(self) -> None:
        """Evict every network that is not in use."""
        with self._lock:
            for key in [key for key, resident in self._resident.items() if not resident.users]:
                del self._resident[key]

    def _obtain(self, key: _Key, build: Callable[[], nn.Module]) -> _Resident:
        resident = self._resident.pop(key, None)
        if resident is None or self._fits_now(resident, key.device):
            resident = self._load(key, build)
        self._resident[key] = resident  # now the most recently used
        return resident

    def _load(self, key: _Key, build: Callable[[], nn.Module]) -> _Resident:
        weights, layers, device, dtype, rounds = key
        base = self._obtain(key._replace(layers=()), build) if layers else None
        with torch.device("meta"):
            module = build().eval().requires_grad_(False)
            halves = base.halves if base is not None else self._halves(weights, module, device, dtype)
            quantized = _use_quantized(weights, {**weights.quantized, **halves}, module, dtype)
        kept = part_names(module, quantized)
        if base is not None:
            changed, shared, offloaded = (
                _patched_weights(weights, layers, device, rounds=rounds, without=quantized),
                base.tensors,
                base.offloaded,
            )
            rounded = {name: _HALF[entry.format.name] for name, entry in halves.items()} if rounds else {}
            set_layers(module, quantized, layers, rounded)
        else:
            weights = _required(weights.stored(quantized), module)
            self._evict(device, incoming=_bytes(weights, dtype, kept))
            changed, shared = weights.read(), {}
            offloaded = choose_offloaded(module, dtype, available=self.available(device))
        own = _prepared(changed, module, device, dtype, offloaded=offloaded, kept=kept)
        module.load_state_dict({**shared, **own}, strict=True, assign=True)
        for name, part in module.named_modules():
            if isinstance(part, Conv2d) and part.weight.is_mkldnn:
                part.on_reordered = partial(self._ordered, key, f"{name}.weight")
        load_for_each_call(module, offloaded, lambda tensor: tensor.to(device, non_blocking=True))
        stop_between_blocks(module)
        here = sum(tensor.nbytes for name, tensor in own.items() if name not in offloaded)
        return _Resident(module, {**shared, **own}, here, offloaded, halves)

    def _halves(
        self, weights: Weights, module: nn.Module, device: torch.device, dtype: torch.dtype
    ) -> dict[str, QuantizedEntry]:
        """The weights that stay in half precision in main memory: all that can, if the network would take too much of
        it in float32."""
        if device.type != "cpu" or dtype is not torch.float32:
            return {}
        names = list(module.state_dict())
        needed = _bytes(weights.only(names), dtype, kept=weights.quantized)
        return weights.half_precision(names) if needed > self.main_memory() * FLOAT32_SHARE else {}

    def _ordered(self, key: _Key, name: str, weight: torch.Tensor, size: torch.Size) -> None:
        """Give the reordered weight to every network that shares it, so that it is kept once."""
        with self._lock:
            if (changed := self._resident.get(key)) is None:
                return
            old = changed.tensors[name]
            for resident in self._resident.values():
                if resident.tensors.get(name) is old:
                    resident.tensors[name] = weight
                    part = resident.module.get_submodule(name.removesuffix(".weight"))
                    assert isinstance(part, Conv2d)
                    part.set_reordered(weight, size)

    def _fits_now(self, resident: _Resident, device: torch.device) -> bool:
        """Whether a network with offloaded weights now fits on the device. Nothing moves while a network is in use."""
        if not resident.offloaded or any(other.users for other in self._resident.values()):
            return False
        if (available := self.available(device)) is None:
            return False
        return sum(tensor.nbytes for tensor in resident.tensors.values()) <= available + resident.own

    def _evict(self, device: torch.device, *, incoming: int = 0) -> None:
        budget = self.budget if self.budget is not None else int(_total_memory(device) * IDLE_SHARE)
        for key in [key for key, resident in self._resident.items() if not resident.users]:
            if self.size() + incoming <= budget:
                return
            del self._resident[key]


_making = threading.Lock()


def residency() -> Residency:
    """The networks of this process, which its worker context keeps. They are per process, and not passed to nodes,
    because torch's allocator of device memory is: two residencies would evict for each other's memory."""
    context = worker_context()
    with _making:
        if context.networks is None:
            context.networks = Residency()
    assert isinstance(context.networks, Residency)
    return context.networks


def _required(weights: Weights, module: nn.Module) -> Weights:
    names = list(module.state_dict())
    missing = [name for name in names if name not in weights]
    if missing:
        named = ", ".join(missing[:3])
        raise UnknownWeights(
            f"{_files(weights)} lack {len(missing)} of the network's {len(names)} weights: {named} ..."
        )
    return weights.only(names)


def _files(weights: Weights) -> str:
    return " and ".join(sorted({source.file.path.name for source in weights.sources.values()}))


def _use_quantized(
    weights: Weights, entries: Mapping[str, QuantizedEntry], module: nn.Module, dtype: torch.dtype
) -> frozenset[str]:
    try:
        return use_quantized(module, entries, dtype)
    except WrongShape as error:
        raise UnknownWeights(f"{_files(weights)} cannot be used for this network: {error}") from None


def _prepared(
    tensors: Iterable[tuple[str, torch.Tensor]],
    module: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    *,
    offloaded: frozenset[str],
    kept: Collection[str],
) -> dict[str, torch.Tensor]:
    """The tensors as the module computes with them; ``offloaded`` ones stay in main memory, pinned for a GPU; those in
    ``kept`` stay in the type of the file."""
    operations: dict[str, Conv2d | Linear] = {}
    if supports_packing(device, dtype):
        operations = {f"{name}.weight": part for name, part in module.named_modules() if benefits_from_packing(part)}
    scratch = torch.empty(max((part.weight.numel() for part in operations.values()), default=0))

    def prepare(name: str, tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if tensor.is_floating_point() and name not in kept else tensor.dtype
        if name in offloaded:
            here = tensor.to(device="cpu", dtype=wanted)
            return here.pin_memory() if device.type == "cuda" else here.clone()
        if (operation := operations.get(name)) is None:
            return tensor.to(device=device, dtype=wanted)
        return operation.packed(scratch[: tensor.numel()].view(tensor.shape).copy_(tensor))

    return {name: prepare(name, tensor) for name, tensor in tensors}


def _patched_weights(
    weights: Weights,
    layers: tuple[WeightLayer, ...],
    device: torch.device,
    *,
    rounds: bool,
    without: Collection[str],
) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights that the layers change, computed in float32."""
    changed = {name for layer in layers for name in layer.patches}
    names = [name for name in weights.sources if name in changed and name not in without]
    for name, tensor in weights.read(names):
        value = tensor.to(device=device, dtype=torch.float32)
        for layer in layers:
            if (patch := layer.patches.get(name)) is not None and layer.strength:
                value = patch.apply(value, layer.strength)
        yield name, value.to(tensor.dtype) if rounds and tensor.is_floating_point() else value


def _bytes(weights: Weights, dtype: torch.dtype, kept: Collection[str]) -> int:
    """Bytes in memory. Nearly all tensors that are kept as stored have one byte per element."""
    return sum(shape.numel() * (1 if name in kept else dtype.itemsize) for name, shape in weights.shapes.items())


def _total_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if device.type == "xpu":
        return int(torch.xpu.mem_get_info(device)[1])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return _meminfo("MemTotal:")


def _meminfo(name: str) -> int:
    try:
        file = open("/proc/meminfo", encoding="ascii")  # noqa: SIM115
    except FileNotFoundError:  # not Linux: what is available is not told
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
