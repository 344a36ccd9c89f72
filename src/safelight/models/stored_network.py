"""A network whose weights are stored in files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import nn

from safelight.models.inputs import Inputs
from safelight.models.network import Predict
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weight_layers import WeightLayer, WeightPart
from safelight.models.weights import Weights


class Architecture(Protocol):
    """How a network is built: a frozen value, read off the shapes of its weights."""

    def build(self) -> nn.Module:
        """A module that is called as :class:`safelight.models.network.Predict`; its state has the names of the
        weights. It is built without data."""
        ...


class ConditioningAdapter(Protocol):
    """A family's conversion of conditioning entries: see :meth:`safelight.models.network.Network.prepare_inputs`."""

    def prepare(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool,
    ) -> Inputs: ...


class LoraNames(Protocol):
    """See :attr:`safelight.models.network.Network.lora_names`."""

    def __call__(self, shapes: Mapping[str, torch.Size]) -> Mapping[str, WeightPart]: ...


@dataclass(frozen=True)
class StoredNetwork:
    """A value that implements :class:`safelight.models.network.Network`. ``dtype``: the user's choice; ``None`` is the
    device's best."""

    weights: Weights
    architecture: Architecture
    conditioning: ConditioningAdapter
    names: LoraNames
    layers: tuple[WeightLayer, ...] = ()
    dtype: torch.dtype | None = None

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.weights.shapes

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return self.names(self.shapes)

    @property
    def device(self) -> torch.device:
        return compute_device()

    def with_layers(self, *layers: WeightLayer) -> "StoredNetwork":
        return replace(self, layers=(*self.layers, *layers))

    @contextmanager
    def session(self) -> Iterator[Predict]:
        device = self.device
        dtype = compute_dtype(device, wanted=self.dtype)
        build = self.architecture.build
        with residency().use(self.weights, self.layers, build, device=device, dtype=dtype) as module:
            yield module

    def prepare_inputs(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool = False,
    ) -> Inputs:
        context = context.to(device, torch.float32)
        return self.conditioning.prepare(context, options, shape=shape, device=device, is_negative=is_negative)
