"""How a network was trained: what it predicts, at which noise levels, and which timestep it gets for a level.

``Parameterization(Noise(), DiscreteLevels())`` is Stable Diffusion 1, ``Parameterization(Flow(), FlowLevels(3.0))`` is
Stable Diffusion 3. The rest of sampling sees a function from a noisy latent to a noise-free one.
"""

from dataclasses import dataclass, replace

import torch

from safelight.models.sampling.levels import Levels
from safelight.models.sampling.prediction import Flow, Prediction


@dataclass(frozen=True)
class Parameterization:
    prediction: Prediction
    levels: Levels

    @property
    def sigma_min(self) -> torch.Tensor:
        return self.levels.sigmas[0]

    @property
    def sigma_max(self) -> torch.Tensor:
        return self.levels.sigmas[-1]

    @property
    def is_flow(self) -> bool:
        """Whether noise replaces the signal linearly, so that a level is a share and not a ratio."""
        return isinstance(self.prediction, Flow)

    def with_levels(self, levels: Levels) -> "Parameterization":
        return replace(self, levels=levels)

    def starts_in_noise(self, sigma: torch.Tensor) -> bool:
        """Whether ``sigma`` is the highest level or above it."""
        return bool(sigma > self.sigma_max) or bool(torch.isclose(sigma.cpu(), self.sigma_max, rtol=1e-5, atol=0.0))

    def noised(self, latent: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The noisy latent at ``sigma``, where sampling starts."""
        return self.prediction.noised(latent, noise, sigma, pure=self.starts_in_noise(sigma))

    def half_log_snr(self, sigma: torch.Tensor) -> torch.Tensor:
        """``log(alpha / sigma)``, the lambda of DPM-Solver (Lu et al. 2022)."""
        return -sigma.logit() if self.is_flow else -sigma.log()

    def sigma_of_half_log_snr(self, half_log_snr: torch.Tensor) -> torch.Tensor:
        return (-half_log_snr).sigmoid() if self.is_flow else (-half_log_snr).exp()

    def with_finite_snr(self, sigmas: torch.Tensor) -> torch.Tensor:
        """The schedule with its first level moved away from a flow's pure noise, whose half log SNR would be
        infinite."""
        if not self.is_flow or not len(sigmas) or sigmas[0] < 1:
            return sigmas
        moved = sigmas.clone()
        moved[0] = self.levels.sigma_at(1e-4)
        return moved
