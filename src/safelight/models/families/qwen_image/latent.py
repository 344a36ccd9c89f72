"""The latents of Wan 2.1's autoencoder, which Qwen-Image has too."""

from safelight.models.autoencoder.wan_latents import WAN21_LATENT

__all__ = ["WAN21_LATENT"]
