"""FreeU (Si et al. 2023): in the upper half of a UNet, scale up the backbone features and scale down the low
frequencies of the skips."""

from dataclasses import dataclass

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import BlockIndex, NetworkHooks
from safelight.models.sampling.guidance import options_of
from safelight.nodes.model.unet_only import require_unet
from safelight.sdk import Node, NodeOutput, Schema, io


class FreeU(Node):
    """Re-weight the parts of a UNet: "b" scales its backbone features (the composition), "s" the skip connections (the
    detail)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("FreeU", b1=1.1, b2=1.2, s1=0.9, s2=0.2)

    @classmethod
    def execute(cls, model: DiffusionModel, b1: float, b2: float, s1: float, s2: float) -> NodeOutput:
        return _hooked(model, (b1, s1), (b2, s2), adapts=False)


class FreeU_V2(Node):  # noqa: N801
    """Re-weight the parts of a UNet as FreeU does, but apply "b" in full only where the features are strongest."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("FreeU_V2", b1=1.3, b2=1.4, s1=0.9, s2=0.2)

    @classmethod
    def execute(cls, model: DiffusionModel, b1: float, b2: float, s1: float, s2: float) -> NodeOutput:
        return _hooked(model, (b1, s1), (b2, s2), adapts=True)


@dataclass(frozen=True)
class _Reweighted:
    """``scales``: by the number of channels, the factors on half of the backbone features and on the low frequencies of
    the skip."""

    scales: dict[int, tuple[float, float]]
    adapts: bool

    def __call__(
        self, hidden: torch.Tensor, skip: torch.Tensor, block: BlockIndex
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.scales.get(hidden.shape[1])
        if found is None:
            return hidden, skip
        backbone, low = found
        half = hidden.shape[1] // 2
        weight: torch.Tensor | float = backbone
        if self.adapts:
            mean = hidden.mean(dim=1, keepdim=True)
            flat = mean.flatten(1)
            least, most = (end.reshape(-1, 1, 1, 1) for end in (flat.amin(dim=1), flat.amax(dim=1)))
            weight = (backbone - 1) * (mean - least) / (most - least) + 1
        return torch.cat((hidden[:, :half] * weight, hidden[:, half:]), dim=1), _scale_low_frequencies(skip, low)


def _scale_low_frequencies(planes: torch.Tensor, scale: float) -> torch.Tensor:
    """Multiply the four lowest frequencies, counted in both directions, by ``scale``."""
    spectrum = torch.fft.fftshift(torch.fft.fftn(planes.float(), dim=(-2, -1)), dim=(-2, -1))
    y, x = planes.shape[-2] // 2, planes.shape[-1] // 2
    spectrum[..., max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1] *= scale
    back: torch.Tensor = torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=(-2, -1)), dim=(-2, -1)).real
    return back.to(planes)


def _hooked(model: DiffusionModel, wide: tuple[float, float], less: tuple[float, float], *, adapts: bool) -> NodeOutput:
    channels = require_unet(model, node="FreeU").network.shapes["time_embed.0.weight"][1]
    hook = _Reweighted({channels * 4: wide, channels * 2: less}, adapts)
    options = options_of(model)
    return NodeOutput(model.with_(options=options.with_(hooks=options.hooks + NetworkHooks(skip=(hook,)))))


def _schema(node_id: str, **defaults: float) -> Schema:
    return Schema(
        node_id=node_id,
        category="model_patches/unet",
        inputs=[
            io.Model.Input("model"),
            *(io.Float.Input(id, default=v, min=0.0, max=10.0, step=0.01) for id, v in defaults.items()),
        ],
        outputs=[io.Model.Output()],
    )
