"""A UNet whose weights are stored in files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from safelight.models.network import Predict
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.unet.shape import UNetShape
from safelight.models.unet.unet_module import Heads, UNet
from safelight.models.weight_layers import WeightLayer
from safelight.models.weights import Weights


class ConditioningAdapter(Protocol):
    """A family's conversion of conditioning entries: see
    :meth:`safelight.models.network.Network.prepare_conditioning`."""

    def prepare(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool
    ) -> dict[str, torch.Tensor]: ...


@dataclass(frozen=True)
class StoredUNet:
    """A value that implements :class:`safelight.models.network.Network`. ``dtype``: the user's choice; ``None`` is the
    device's best."""

    weights: Weights
    shape: UNetShape
    heads: Heads
    conditioning: ConditioningAdapter
    groups: int = 32
    layers: tuple[WeightLayer, ...] = ()
    dtype: torch.dtype | None = None

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.weights.shapes

    @property
    def device(self) -> torch.device:
        return compute_device()

    def with_layers(self, *layers: WeightLayer) -> "StoredUNet":
        return replace(self, layers=(*self.layers, *layers))

    @contextmanager
    def session(self) -> Iterator[Predict]:
        device = self.device
        dtype = compute_dtype(device, wanted=self.dtype)
        with residency().use(self.weights, self.layers, self._module, device=device, dtype=dtype) as module:
            yield module

    def prepare_conditioning(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool = False
    ) -> dict[str, torch.Tensor]:
        return self.conditioning.prepare(options, shape=shape, device=device, is_negative=is_negative)

    def _module(self) -> UNet:
        return UNet(self.shape, heads=self.heads, groups=self.groups)
