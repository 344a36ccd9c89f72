"""The interface of a diffusion network for samplers. :mod:`safelight.models.stored_network` implements it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from safelight.models.inputs import Inputs
from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.weight_layers import WeightLayer, WeightPart


class Predict(Protocol):
    def __call__(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Any,
        *,
        control: Control | None = None,
        hooks: NetworkHooks | None = None,
    ) -> torch.Tensor:
        """The raw output ``[B, C, *spatial]`` for ``x`` of that shape on the network's own input scale and ``timestep
        [B]``. ``inputs``: a value of the network's family from :meth:`Network.prepare_inputs`, for the same batch.
        Tensors are float32 on the network's device."""
        ...


class Network(Protocol):
    """Weights under layers: a value. Law: a session's results depend only on the network, the layers and the
    arguments."""

    @property
    def layers(self) -> tuple[WeightLayer, ...]: ...

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        """Shapes of all weights by canonical name; reads no more than a file's header."""
        ...

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        """What each spelling of a module in LoRA files refers to. Spellings have ``_`` for ``.`` and no prefix."""
        ...

    @property
    def device(self) -> torch.device:
        """The device that sessions compute on."""
        ...

    def with_layers(self, *layers: WeightLayer) -> "Network":
        """A copy with ``layers`` on top of the existing ones; it shares the weights below."""
        ...

    def session(self) -> AbstractContextManager[Predict]:
        """Keep the network resident while the context is open. Sessions may overlap, also of one network under
        different layers."""
        ...

    def prepare_inputs(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool = False,
    ) -> Inputs:
        """Convert a conditioning entry, its embeddings ``[1 or B, tokens, features]`` and its options, to the family's
        inputs, with a batch of one or of ``shape[0]``. ``shape`` is that of ``x``. The option ``noise_mask`` is used by
        inpainting networks without an image of their own. Raises :class:`WrongConditioning`."""
        ...
