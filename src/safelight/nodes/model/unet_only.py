"""Nodes that change parts which only UNets have say so for other networks."""

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.stored_network import StoredNetwork
from safelight.models.unet.unet_module import UNetArchitecture


class NotAUNet(Invalid):
    """The node works with UNets only (Stable Diffusion 1, 2 and XL), and this network is another one."""

    code = "not_a_unet"


def require_unet(model: DiffusionModel, *, node: str) -> DiffusionModel:
    """Return the model. Raises :class:`NotAUNet`."""
    network = model.network
    if isinstance(network, StoredNetwork) and not isinstance(network.architecture, UNetArchitecture):
        raise NotAUNet(f"{node} works with UNets (Stable Diffusion 1, 2 and XL), not with {model.family!r}")
    return model
