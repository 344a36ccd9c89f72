"""The value on ``CONTROL_NET`` links for ControlNets of transformers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.control.latent_hint import LatentHint
from safelight.models.inputs import Inputs
from safelight.models.network import Network
from safelight.models.network_hooks import Control
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.stored_network import StoredNetwork
from safelight.models.weights import UnknownWeights, Weights


@dataclass(frozen=True)
class TransformerControl:
    """``build``: a module that is called with ``(x, timestep, inputs, hint)`` and returns what to add after each block
    of the main network, by kind and index. ``inputs``: the type of the inputs of the family's networks; ``title``: of
    the family. ``borrowed``: weights of the main network that it uses, by their names there."""

    weights: Weights
    build: Callable[[], nn.Module]
    inputs: type[Inputs]
    title: str
    hint: LatentHint
    borrowed: Mapping[str, str]

    @property
    def concat_mask(self) -> bool:
        """Whether it takes a mask beside the image, under the name that node packs read."""
        return self.hint.takes_mask

    def residuals(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Inputs,
        *,
        image: torch.Tensor,
        network: Network | None = None,
    ) -> Control:
        """``image``: what :attr:`hint` made of it. Raises :class:`UnknownWeights` for a network of another family."""
        name = next(iter(self.weights.sources.values())).file.path.name
        if not isinstance(inputs, self.inputs):
            raise UnknownWeights(f"{name!r} is a ControlNet for {self.title}; this model is of another family")
        device = compute_device()
        with residency().use(
            self._all_weights(network), (), self.build, device=device, dtype=compute_dtype(device)
        ) as module:
            added: Mapping[tuple[str, int], torch.Tensor] = module(x, timestep, inputs, image.to(device))
        return Control(tokens=added)

    def _all_weights(self, network: Network | None) -> Weights:
        if not self.borrowed:
            return self.weights
        assert isinstance(network, StoredNetwork)
        theirs = network.weights.sources
        return self.weights | Weights({own: theirs[name] for name, own in self.borrowed.items() if name in theirs})
