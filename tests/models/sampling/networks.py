"""A network whose results can be computed by hand: it predicts the mean of its conditioning everywhere, and counts
its calls."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.latent_format import LatentFormat
from safelight.models.network_hooks import NetworkHooks
from safelight.models.sampling.levels import DiscreteLevels
from safelight.models.sampling.parameterization import Parameterization
from safelight.models.sampling.prediction import Signal
from safelight.models.unet.unet_module import UNetInputs
from safelight.models.weight_layers import WeightLayer, WeightPart

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Plain:
    """Predicts, of the noise-free latent, that all of it is the mean of the context (plus that of ``concat``)."""

    asked: list[tuple[int, ...]] = field(default_factory=list)
    hooks: list[NetworkHooks] = field(default_factory=list)
    controls: list[Any] = field(default_factory=list)
    layers: tuple[WeightLayer, ...] = ()
    shapes: Mapping[str, torch.Size] = field(default_factory=dict)
    device: torch.device = CPU

    def with_layers(self, *layers: WeightLayer) -> "Plain":
        return replace(self, layers=(*self.layers, *layers))

    @contextmanager
    def session(self) -> Iterator[Any]:
        yield self._predict

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return {}

    def prepare_inputs(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool = False,
    ) -> UNetInputs:
        return UNetInputs(context, **{name: options[name] for name in ("y", "concat") if name in options})

    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, inputs: UNetInputs, **more: Any) -> torch.Tensor:
        self.asked.append(tuple(x.shape))
        self.hooks.append(more["hooks"])
        self.controls.append(more.get("control"))
        seen = inputs.context.mean(dim=(1, 2)).reshape(-1, *[1] * (x.dim() - 1)).expand(x.shape)
        concat = inputs.concat
        return seen if concat is None else seen + concat.mean(dim=1, keepdim=True)


def model_of(network: Plain | None = None, **changes: Any) -> DiffusionModel:
    parameterization = Parameterization(Signal(), DiscreteLevels())
    latent_format = changes.pop("latent_format", LatentFormat())
    return DiffusionModel(network or Plain(), parameterization, latent_format, **changes)


def saying(value: float, *, tokens: int = 7, **options: Any) -> list[list[Any]]:
    """A conditioning for which the network predicts ``value``."""
    return [[torch.full((1, tokens, 3), value), options]]
