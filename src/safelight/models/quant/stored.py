"""The interface of a quantisation format, and a quantised weight of a file.

The tensors that a weight is stored in are its parts. A part has the last word of its name in files: ``weight`` (the
codes), ``weight_scale``, ``weight_scale_2`` ...
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

WEIGHT = "weight"
"""The part with the codes."""

Parts = Mapping[str, torch.Tensor]


class QuantizedFormat(Protocol):
    """How a weight is stored. Frozen; law: ``dequantized`` of the parts of a weight has the shape that ``shape``
    returns for theirs."""

    @property
    def name(self) -> str:
        """The name in files and messages: ``int8_tensorwise``, ``Q4_K`` ..."""
        ...

    def shape(self, parts: Mapping[str, torch.Size]) -> torch.Size:
        """The weight's shape, ``[out, in]``. Raises :class:`ValueError` if these parts cannot be of one weight."""
        ...

    def dequantized(self, parts: Parts) -> torch.Tensor:
        """The weight in float32."""
        ...

    def rows(self, parts: Parts, numbers: torch.Tensor) -> Parts | None:
        """The parts of these rows of the weight; ``None`` if rows are not stored apart from each other."""
        ...


@dataclass(frozen=True)
class QuantizedEntry:
    """A quantised weight of a file. ``parts``: the file's name of each part, and its shape there."""

    format: QuantizedFormat
    shape: torch.Size
    parts: tuple[tuple[str, str, torch.Size], ...] = field(repr=False)
