"""What networks predict, and how the noise-free latent follows from it.

``x`` is the noisy latent on the sampler's scale; ``sigma`` and ``timestep`` are 0-d tensors, or broadcast against it.
"""

from dataclasses import dataclass
from typing import Protocol

import torch


class Prediction(Protocol):
    def scaled_input(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """``x`` on the scale of the network's input."""
        ...

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        """The noise-free latent that follows from the network's ``output`` for ``x``."""
        ...

    def noised(
        self, latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, *, pure: bool = False
    ) -> torch.Tensor:
        """``latent`` with noise at ``sigma``. ``pure``: the level is the highest, at which training saw only noise."""
        ...

    def final_latent(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """``x`` at ``sigma``, where sampling stopped, on the scale of latents."""
        ...


@dataclass(frozen=True)
class _VarianceExploding:
    """Noise is added to a latent whose scale stays the same (variance exploding; Karras et al. 2022, section 5).
    ``sigma_data`` is the standard deviation of latents that the network expects."""

    sigma_data: float = 1.0

    def scaled_input(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x / (sigma**2 + self.sigma_data**2).sqrt()

    def noised(
        self, latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, *, pure: bool = False
    ) -> torch.Tensor:
        return latent + noise * ((1.0 + sigma**2).sqrt() if pure else sigma)

    def final_latent(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x


class Noise(_VarianceExploding):
    """The network predicts the noise (Ho et al. 2020)."""

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        return x - output * sigma


class Velocity(_VarianceExploding):
    """The network predicts ``alpha * noise - sigma * signal`` (Salimans and Ho 2022)."""

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        variance = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / variance - output * sigma * self.sigma_data / variance.sqrt()


class Preconditioned(_VarianceExploding):
    """The network predicts the target of EDM's preconditioning (Karras et al. 2022, table 1)."""

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        variance = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / variance + output * sigma * self.sigma_data / variance.sqrt()


class Signal(_VarianceExploding):
    """The network predicts the noise-free latent."""

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        return output


class ImageToImage(Signal):
    """The network maps images to images: its input is ``x`` unscaled, and it predicts the result."""

    def scaled_input(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x


class ImageToImageVelocity(ImageToImage):
    """The network maps images to images, and predicts the difference from the result to its input."""

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        return x - output


@dataclass(frozen=True)
class Consistency(_VarianceExploding):
    """A network that predicts noise, distilled with the boundary condition of latent consistency models (Luo et al.
    2023): skip and output weights of deviation 0.5 over ten times the timestep."""

    boundary_deviation: float = 0.5
    timestep_scale: float = 10.0

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        scaled = timestep * self.timestep_scale
        variance = scaled**2 + self.boundary_deviation**2
        return (x - output * sigma) * (scaled / variance.sqrt()) + x * (self.boundary_deviation**2 / variance)


@dataclass(frozen=True)
class Flow:
    """The network predicts ``noise - signal`` along straight lines between the two (Liu et al. 2022, Lipman et al.
    2022)."""

    def scaled_input(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x

    def denoised(
        self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        return x - output * sigma

    def noised(
        self, latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, *, pure: bool = False
    ) -> torch.Tensor:
        return sigma * noise + (1.0 - sigma) * latent

    def final_latent(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x / (1.0 - sigma)
