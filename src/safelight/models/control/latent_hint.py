"""How control networks that work on latents see the image that guides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.fitting import fit_planes
from safelight.models.inputs import repeated
from safelight.models.latent_format import LatentFormat


class AutoencoderMissing(Invalid):
    """A control network that works on latents was given no VAE."""

    code = "autoencoder_missing"


def unchanged(planes: torch.Tensor) -> torch.Tensor:
    return planes


@dataclass(frozen=True)
class LatentHint:
    """``format``: of the latents that the network was trained on. ``prepared``: what happens to the image ``[B, C, H,
    W]`` before it is encoded. ``takes_mask``: a plane that is 1 where the image counts follows the latent's channels.
    """

    format: LatentFormat
    prepared: Callable[[torch.Tensor], torch.Tensor] = unchanged
    takes_mask: bool = False

    def encoded(
        self, image: torch.Tensor, mask: torch.Tensor | None, autoencoder: Any, x: torch.Tensor
    ) -> torch.Tensor:
        """``image [B, H, W, 3]`` as a latent of the size of ``x [B, C, *spatial]``; ``mask [B, 1, H, W]``. Raises
        :class:`AutoencoderMissing`."""
        if autoencoder is None:
            raise AutoencoderMissing("this ControlNet works on latents: connect a VAE to the node that applies it")
        factor = autoencoder.spacial_compression_encode()
        size = (x.shape[-2] * factor, x.shape[-1] * factor)
        planes = self.prepared(fit_planes(image[..., :3].movedim(-1, 1), size, mode="nearest-exact"))
        latent: torch.Tensor = self.format.to_network(autoencoder.encode(planes.movedim(1, -1)))
        if self.takes_mask:
            plane = torch.ones(1, 1, 1, 1) if mask is None else mask
            fitted = fit_planes(plane.to(latent), (latent.shape[-2], latent.shape[-1]), mode="nearest-exact")
            if latent.dim() == 5:
                fitted = fitted[:, :, None].expand(-1, -1, latent.shape[2], -1, -1)
            latent = torch.cat((latent, repeated(fitted, len(latent))), dim=1)
        return latent.to(x)
