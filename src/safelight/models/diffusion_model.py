"""The value on ``MODEL`` links: a network with everything that sampling needs to know about it."""

from dataclasses import dataclass, replace
from typing import Any

from safelight.models.latent_format import LatentFormat
from safelight.models.network import Network
from safelight.models.weight_layers import WeightLayer


@dataclass(frozen=True)
class DiffusionModel:
    """Frozen; changes return a copy that shares the weights."""

    network: Network
    parameterization: Any
    """:class:`safelight.models.sampling.parameterization.Parameterization`."""
    latent_format: LatentFormat
    is_clean_outside_mask: bool = False
    """Outside of an inpainting mask, the network sees the latent without noise."""
    options: Any = None
    """Changes to sampling made by nodes (``GuidanceOptions``); ``None`` without any."""
    family: str = ""
    """The family's name, for messages and previews."""

    def with_(self, **changes: Any) -> "DiffusionModel":
        return replace(self, **changes)

    def with_layers(self, *layers: WeightLayer) -> "DiffusionModel":
        return replace(self, network=self.network.with_layers(*layers))
