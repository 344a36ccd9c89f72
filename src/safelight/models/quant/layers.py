"""Linear layers and embeddings whose weights stay as a file stores them. Each call dequantises the weight, changes it
by the network's weight layers and uses it; nothing is kept.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.quant.stored import QuantizedEntry, QuantizedFormat
from safelight.models.weight_layers import WeightLayer, WeightPatch


class WrongShape(ValueError):
    """A quantised weight does not have the shape of its layer."""


class _Quantized(nn.Module):
    """Its parameters are the parts of the weight, under their names in files."""

    def __init__(self, format: QuantizedFormat, parts: Mapping[str, torch.Tensor], shape: torch.Size) -> None:
        super().__init__()
        self.format = format
        self.shape = shape
        """The weight's shape; the format may have stored more rows and columns."""
        self.part_names = tuple(parts)
        self.patches: tuple[tuple[WeightPatch, float], ...] = ()
        """What changes the weight at each call, with its strength."""
        self.rounds_to: torch.dtype | None = None
        """The type that a changed weight is rounded to."""
        for name, part in parts.items():
            self.register_parameter(name, nn.Parameter(part, requires_grad=False))

    def parts(self) -> dict[str, torch.Tensor]:
        return {name: self._parameters[name].data for name in self.part_names}  # type: ignore[union-attr]

    def dequantized(self) -> torch.Tensor:
        """The weight as the layer uses it, float32."""
        weight = self.format.dequantized(self.parts())[: self.shape[0], : self.shape[1]]
        for patch, strength in self.patches:
            weight = patch.apply(weight, strength)
        if self.patches and self.rounds_to is not None:
            weight = weight.to(self.rounds_to).float()
        return weight


class QuantizedLinear(_Quantized):
    """``x @ W.T + bias``."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self, format: QuantizedFormat, parts: Mapping[str, torch.Tensor], shape: torch.Size, bias: nn.Parameter | None
    ) -> None:
        super().__init__(format, parts, shape)
        self.out_features, self.in_features = shape
        self.register_parameter("bias", bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.linear(input, self.dequantized().to(input.dtype), self.bias)


class QuantizedEmbedding(_Quantized):
    """Rows of the weight. If the format can, only those are dequantised. ``dtype``: that of the network."""

    dtype = torch.float32

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        parts = self.parts()
        rows = None if self.patches else self.format.rows(parts, numbers.flatten())
        if rows is None:
            found = self.dequantized()[numbers.flatten()]
        else:
            found = self.format.dequantized(rows)[:, : self.shape[1]]
        return found.reshape(*numbers.shape, -1).to(self.dtype)


def use_quantized(module: nn.Module, entries: Mapping[str, QuantizedEntry], dtype: torch.dtype) -> frozenset[str]:
    """Replace the linear layers and embeddings of a network without data whose weights ``entries`` has, by their names
    (``blocks.0.proj.weight``). Other modules keep a dense weight. Returns the names of those replaced; raises
    :class:`WrongShape`."""
    replaced = set()
    for name, entry in entries.items():
        path, _, last = name.rpartition(".")
        try:
            layer = module.get_submodule(path)
        except AttributeError:
            continue
        if last != "weight" or not isinstance(layer, nn.Linear | nn.Embedding):
            continue
        wanted = layer.weight.shape
        if entry.shape != wanted and not _is_padded(entry, wanted):
            raise WrongShape(f"{name!r} is {list(entry.shape)}, the network needs {list(wanted)}")
        parts = {part: torch.empty(stored, dtype=torch.uint8, device="meta") for part, _, stored in entry.parts}
        made: nn.Module
        if isinstance(layer, nn.Linear):
            made = QuantizedLinear(entry.format, parts, wanted, layer.bias)
        else:
            made = QuantizedEmbedding(entry.format, parts, wanted)
            made.dtype = dtype
        parent, _, own = path.rpartition(".")
        setattr(module.get_submodule(parent), own, made.requires_grad_(False))
        replaced.add(name)
    return frozenset(replaced)


def part_names(module: nn.Module, replaced: Iterable[str]) -> dict[str, str]:
    """The names of all parameters that are parts of quantised weights, with the weight that each belongs to."""
    found: dict[str, str] = {}
    for name in replaced:
        path = name.removesuffix(".weight")
        layer: Any = module.get_submodule(path)
        found |= {f"{path}.{part}": name for part in layer.part_names}
    return found


def set_layers(
    module: nn.Module,
    replaced: Iterable[str],
    layers: tuple[WeightLayer, ...],
    rounds_to: Mapping[str, torch.dtype],
) -> None:
    """Let the weights change by these layers. ``rounds_to``: the types that some are rounded to afterwards."""
    for name in replaced:
        layer: Any = module.get_submodule(name.removesuffix(".weight"))
        layer.patches = tuple(
            (patch, item.strength) for item in layers if item.strength and (patch := item.patches.get(name)) is not None
        )
        layer.rounds_to = rounds_to.get(name)


def _is_padded(entry: QuantizedEntry, wanted: torch.Size) -> bool:
    padding = {"nvfp4": 16, "mxfp8": 32}.get(entry.format.name)
    return padding is not None and all(
        -(-size // padding) * padding == stored for size, stored in zip(wanted, entry.shape, strict=True)
    )
