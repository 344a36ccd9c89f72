"""Keys and values of what comes before the picture, kept between the steps of a run.

Text and reference pictures never attend to the picture that is made, and are modulated as at timestep 0, so that their
keys and values are the same at every step. They are kept as they are, or rounded to 8 or 4 bits with a scale for each
head of each token.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import ref

import torch

CacheDevice = Literal["auto", "gpu", "cpu", "off"]
CacheType = Literal["default", "int8", "int4"]

KeysAndValues = tuple[torch.Tensor, torch.Tensor]
"""``[B, heads, tokens, width]`` each."""


@dataclass(frozen=True)
class CacheSettings:
    """``device``: where the cache is kept: with the network (``auto``, ``gpu``), in main memory (``cpu``), or nowhere
    (``off``). ``dtype``: how its numbers are rounded."""

    device: CacheDevice = "auto"
    dtype: CacheType = "default"


@dataclass(eq=False)
class PrefixCache:
    """Mutable: filled by the first step of a run. It belongs to one conditioning; a network whose weights differ, or a
    batch of another size, fills it again."""

    settings: CacheSettings = field(default_factory=CacheSettings)
    layers: list[tuple["_Kept", "_Kept"]] = field(default_factory=list)
    owner: Any = None
    batch: int = 0

    def has(self, network: torch.nn.Module, batch: int) -> bool:
        return bool(self.layers) and self.owner is not None and self.owner() is network and self.batch == batch

    def keep(self, network: torch.nn.Module, layers: list[KeysAndValues]) -> None:
        if self.settings.device == "off":
            return
        self.owner, self.batch = ref(network), len(layers[0][0])
        self.layers = [(self._kept(keys), self._kept(values)) for keys, values in layers]

    def read(self, like: torch.Tensor) -> Iterator[KeysAndValues]:
        """The keys and values of each layer, in the type and on the device of ``like``."""
        for keys, values in self.layers:
            yield keys.read(like), values.read(like)

    def _kept(self, x: torch.Tensor) -> "_Kept":
        device = torch.device("cpu") if self.settings.device == "cpu" else x.device
        if self.settings.dtype == "default":
            return _Kept(x.to(device), None)
        largest = 127 if self.settings.dtype == "int8" else 7
        scale = (x.abs().amax(dim=-1, keepdim=True) / largest).clamp(min=torch.finfo(torch.float16).tiny)
        codes = (x / scale).round().clamp(-largest, largest).to(torch.int8)
        if self.settings.dtype == "int4":
            shifted = (codes + 8).to(torch.uint8)
            codes = shifted[..., ::2] | (shifted[..., 1::2] << 4)
        return _Kept(codes.to(device), scale.to(device))


@dataclass(frozen=True, eq=False)
class _Kept:
    """``scale``: of each head of each token; ``None`` for numbers as they are. Codes of 4 bits are in pairs."""

    codes: torch.Tensor
    scale: torch.Tensor | None

    def read(self, like: torch.Tensor) -> torch.Tensor:
        codes = self.codes.to(like.device)
        if self.scale is None:
            return codes.to(like.dtype)
        if codes.dtype is torch.uint8:
            codes = torch.stack((codes & 15, codes >> 4), dim=-1).flatten(-2).to(torch.int8) - 8
        return codes.to(like.dtype) * self.scale.to(like)
