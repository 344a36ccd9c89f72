"""What a diffusion network is to those who sample with it. The real one is :mod:`safelight.models.stored_unet`."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.weight_layers import WeightLayer


class Predict(Protocol):
    def __call__(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        *,
        context: torch.Tensor,
        y: torch.Tensor | None = None,
        concat: torch.Tensor | None = None,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """The raw output ``[B, C, h, w]`` for ``x`` of that shape on the network's own input scale, ``timestep [B]``
        and ``context [B, tokens, features]``. ``y [B, features]`` and ``concat [B, C', h, w]`` are what
        :meth:`Network.conditions` made. In and out in float32 on the network's device."""
        ...


class Network(Protocol):
    """Weights under layers: a value. Law: a session's answers depend on the network, the layers and the arguments."""

    @property
    def layers(self) -> tuple[WeightLayer, ...]: ...

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        """Shapes of all weights by canonical name; reads no more than a file's header."""
        ...

    @property
    def device(self) -> torch.device:
        """Where a session computes."""
        ...

    def with_layers(self, *layers: WeightLayer) -> "Network":
        """``layers`` on top of those that there are; the weights below are shared."""
        ...

    def session(self) -> AbstractContextManager[Predict]:
        """Make the network resident while the context is open. Sessions may overlap, of one network under different
        layers as well."""
        ...

    def conditions(
        self, options: Mapping[str, Any], *, shape: torch.Size, device: torch.device, is_negative: bool = False
    ) -> dict[str, torch.Tensor]:
        """What the options of a conditioning entry mean to this network, as keywords of :class:`Predict`, each with a
        batch of one or of ``shape[0]``. ``shape`` is that of ``x``. An option ``noise_mask`` counts for inpainting
        networks that got no picture of their own."""
        ...
