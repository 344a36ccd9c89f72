"""Sample several latents together: samplers see one packed tensor, the network sees the parts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.inputs import Inputs
from safelight.models.latent_format import LatentFormat
from safelight.models.nested import NestedTensor, Packing, Samples
from safelight.models.network import Network, Predict
from safelight.models.network_hooks import Control, NetworkHooks
from safelight.models.weight_layers import WeightLayer, WeightPart


class OnlyForOnePart(Invalid):
    """An area or a mask of a conditioning has no meaning for several latents that are denoised together."""

    code = "only_for_one_part"


def packed_model(model: DiffusionModel, packing: Packing) -> DiffusionModel:
    return model.with_(
        network=PackedNetwork(model.network, packing),
        latent_format=PackedFormat(parts=(model.latent_format, *model.latent_format.others), packing=packing),
    )


@dataclass(frozen=True)
class PackedNetwork:
    """A value that implements :class:`safelight.models.network.Network` for packed latents ``[B, 1, n]``. The network's
    ``predict`` takes and returns a :class:`safelight.models.nested.NestedTensor`. Its ``prepare_inputs`` gets the first
    part's shape, all shapes as the option ``latent_shapes``, and ``noise_mask`` as a nested tensor."""

    network: Network
    packing: Packing

    @property
    def layers(self) -> tuple[WeightLayer, ...]:
        return self.network.layers

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        return self.network.shapes

    @property
    def lora_names(self) -> Mapping[str, WeightPart]:
        return self.network.lora_names

    @property
    def device(self) -> torch.device:
        return self.network.device

    def with_layers(self, *layers: WeightLayer) -> "PackedNetwork":
        return replace(self, network=self.network.with_layers(*layers))

    @contextmanager
    def session(self) -> Iterator[Predict]:
        with self.network.session() as predict:
            yield self._packed(predict)

    def prepare_inputs(
        self,
        context: torch.Tensor,
        options: Mapping[str, Any],
        *,
        shape: torch.Size,
        device: torch.device,
        is_negative: bool = False,
    ) -> Inputs:
        for name in ("area", "mask"):
            if options.get(name) is not None:
                raise OnlyForOnePart(f"a conditioning with {name!r} cannot be used with a latent of several parts")
        shapes = tuple(torch.Size((shape[0], *part[1:])) for part in self.packing.shapes)
        given = {**options, "latent_shapes": shapes}
        if isinstance(mask := options.get("noise_mask"), torch.Tensor):
            given["noise_mask"] = self.packing.unpack(mask)
        return self.network.prepare_inputs(context, given, shape=shapes[0], device=device, is_negative=is_negative)

    def _packed(self, predict: Predict) -> Predict:
        def predict_packed(
            x: torch.Tensor,
            timestep: torch.Tensor,
            inputs: Any,
            *,
            control: Control | None = None,
            hooks: NetworkHooks | None = None,
        ) -> torch.Tensor:
            parts: Any = self.packing.unpack(x)
            output: Any = predict(parts, timestep, inputs, control=control, hooks=hooks)
            return self.packing.pack(output)

        return predict_packed


@dataclass(frozen=True)
class PackedFormat(LatentFormat):
    """The format of packed latents: each part is converted by its own."""

    parts: tuple[LatentFormat, ...] = ()
    packing: Packing = field(default_factory=lambda: Packing(()))
    is_sequence: bool = True

    def to_network(self, latent: torch.Tensor) -> torch.Tensor:
        parts = zip(self.parts, self.packing.unpack(latent), strict=True)
        return self.packing.pack(NestedTensor([own.to_network(part) for own, part in parts]))

    def from_network(self, latent: torch.Tensor) -> torch.Tensor:
        parts = zip(self.parts, self.packing.unpack(latent), strict=True)
        return self.packing.pack(NestedTensor([own.from_network(part) for own, part in parts]))


def packed_mask(mask: Samples | None, packing: Packing, fit: Any) -> torch.Tensor | None:
    """The inpainting masks of the parts, each in the size of its part by ``fit(mask, like)``. A part without a mask is
    painted everywhere."""
    if mask is None:
        return None
    masks: list[torch.Tensor] = [*mask] if isinstance(mask, NestedTensor) else [mask]
    whole = []
    for index, shape in enumerate(packing.shapes):
        like = torch.empty(shape)
        whole.append(fit(masks[index], like).expand(shape) if index < len(masks) else torch.ones(shape))
    return packing.pack(NestedTensor(whole))
