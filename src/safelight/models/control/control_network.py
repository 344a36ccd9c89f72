"""Control networks as values, and the controls that a conditioning carries.

A family whose networks are not UNets reads its ControlNets in a module ``control``, with the function
``read_control(file)``: the network in a file, or ``None`` for another family's.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch

from safelight.models.control.adapter import AdapterShape, T2IAdapter, adapter_shape, in_adapter_layout
from safelight.models.control.controlnet_module import ControlNet, ControlShape, control_shape
from safelight.models.control.transformer_control import TransformerControl
from safelight.models.families.registry import FOLDERS
from safelight.models.fitting import fit_planes
from safelight.models.inputs import Inputs, repeated
from safelight.models.network import Network
from safelight.models.network_hooks import Control
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.sampling.levels import Levels
from safelight.models.unet.diffusers_layout import in_original_layout
from safelight.models.unet.unet_module import Heads, UNetInputs
from safelight.models.weights import UnknownWeights, Weights, weight_file

PIXELS = 8
"""Image pixels per side of a latent pixel."""


@dataclass(frozen=True)
class ControlNetwork:
    """The value on ``CONTROL_NET`` links: a ControlNet."""

    weights: Weights
    shape: ControlShape
    heads: Heads

    def residuals(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Inputs,
        *,
        image: torch.Tensor,
        network: Network | None = None,
    ) -> Control:
        """What to add to the UNet. Raises :class:`UnknownWeights` if the width of ``context`` belongs to another
        family."""
        name = next(iter(self.weights.sources.values())).file.path.name
        if not isinstance(inputs, UNetInputs):
            raise UnknownWeights(f"{name!r} is a ControlNet for Stable Diffusion; this model is of another family")
        context, y = inputs.context, inputs.y
        wanted = self.shape.encoder.context
        if wanted and context.shape[-1] != wanted:
            raise UnknownWeights(
                f"{name!r} is a ControlNet for models with {wanted} conditioning features; "
                f"this model has {context.shape[-1]}"
            )
        device = compute_device()
        dtype = compute_dtype(device)
        with residency().use(self.weights, (), self._module, device=device, dtype=dtype) as module:
            control: Control = module(x, timestep, image=image.to(device), context=context, y=y)
        return control

    def _module(self) -> ControlNet:
        return ControlNet(self.shape, heads=self.heads)


@dataclass(frozen=True)
class ControlAdapter:
    """A T2I-Adapter on ``CONTROL_NET`` links. Its residuals depend only on the image."""

    weights: Weights
    shape: AdapterShape

    def residuals(
        self,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Inputs,
        *,
        image: torch.Tensor,
        network: Network | None = None,
    ) -> Control:
        device = compute_device()
        with residency().use(self.weights, (), self._module, device=device, dtype=torch.float32) as module:
            control: Control = module(image.to(device, torch.float32))
        return control

    def _module(self) -> T2IAdapter:
        return T2IAdapter(self.shape)


AnyControlNetwork = ControlNetwork | ControlAdapter | TransformerControl


@dataclass(frozen=True, eq=False)
class AppliedControl:
    """A control network with its image, strength and range of sampling (0..1). ``previous``: a control that is added to
    it. ``autoencoder`` and ``mask [B, 1, H, W]``: for networks that work on latents."""

    network: AnyControlNetwork
    image: torch.Tensor
    strength: float
    start: float = 0.0
    end: float = 1.0
    previous: "AppliedControl | None" = None
    autoencoder: Any = None
    mask: torch.Tensor | None = None
    _hints: dict[Hashable, torch.Tensor] = field(default_factory=dict, repr=False)
    """The encoded image, by the size of the latent. Mutable: filled when first used."""

    def after(self, previous: "AppliedControl | None") -> "AppliedControl":
        return replace(self, previous=previous)

    def residuals_at(
        self,
        sigma: torch.Tensor,
        levels: Levels,
        x: torch.Tensor,
        timestep: torch.Tensor,
        inputs: Inputs,
        *,
        network: Network | None = None,
    ) -> Control | None:
        """What to add at a noise level; ``None`` outside of the range. ``x`` is on the scale of the network's input;
        ``network``: that of the model."""
        rest = None
        if self.previous is not None:
            rest = self.previous.residuals_at(sigma, levels, x, timestep, inputs, network=network)
        if not levels.sigma_at(self.end) <= float(sigma) <= levels.sigma_at(self.start) or not self.strength:
            return rest
        image = repeated(self._image(x), len(x))
        residuals = self.network.residuals(x, timestep, inputs, image=image, network=network)
        return _add(_scale(residuals, self.strength), rest)

    def _image(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.network, TransformerControl):
            size = tuple(x.shape[2:])
            if size not in self._hints:
                self._hints[size] = self.network.hint.encoded(self.image, self.mask, self.autoencoder, x)
            return self._hints[size]
        return fit_image(self.image[..., :3].movedim(-1, 1).to(x), (x.shape[-2] * PIXELS, x.shape[-1] * PIXELS))


def fit_image(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Crop ``[B, C, h, w]`` around the center to the aspect ratio of ``size``, then scale it by nearest pixels."""
    return fit_planes(planes, size, mode="nearest-exact")


def load_control_network(path: Path) -> AnyControlNetwork:
    """Load a ControlNet or T2I-Adapter, in the original layout or that of diffusers. Raises :class:`UnknownWeights`;
    :class:`safelight.media.media_errors.UnreadableWeights`."""
    file = weight_file(path)
    if any(name.startswith(("body.", "adapter.body.")) for name in file.shapes):
        return _adapter(in_adapter_layout(file.weights()), path.name)
    for folder in FOLDERS:
        module = f"safelight.models.families.{folder}.control"
        if find_spec(module) is not None:
            found: TransformerControl | None = import_module(module).read_control(file)
            if found is not None:
                return found
    weights = in_original_layout(file.weights("control_model.") or file.weights())
    try:
        shape = control_shape(weights.shapes)
    except KeyError as error:
        raise UnknownWeights(f"{path.name!r} contains no supported ControlNet: {error} is missing") from None
    heads = Heads(count=8) if shape.encoder.context == 768 else Heads(width=64)
    return ControlNetwork(weights, shape, heads)


def _adapter(weights: Weights, name: str) -> ControlAdapter:
    try:
        return ControlAdapter(weights, adapter_shape(weights.shapes))
    except KeyError as error:
        raise UnknownWeights(f"{name!r} contains no supported T2I-Adapter: {error} is missing") from None


def _scale(control: Control, strength: float) -> Control:
    middle = control.middle
    return Control(
        skips={index: residual * strength for index, residual in control.skips.items()},
        inputs={index: residual * strength for index, residual in control.inputs.items()},
        middle=None if middle is None else middle * strength,
        tokens={block: residual * strength for block, residual in control.tokens.items()},
    )


def _add(one: Control, other: Control | None) -> Control:
    if other is None:
        return one
    middles = [control.middle for control in (one, other) if control.middle is not None]
    return Control(
        skips=_add_by_index(one.skips, other.skips),
        inputs=_add_by_index(one.inputs, other.inputs),
        middle=sum(middles[1:], middles[0]) if middles else None,
        tokens=_add_by_index(one.tokens, other.tokens),
    )


Index = TypeVar("Index")


def _add_by_index(one: Mapping[Index, torch.Tensor], other: Mapping[Index, torch.Tensor]) -> dict[Index, torch.Tensor]:
    both = dict(other)
    for index, residual in one.items():
        both[index] = both[index] + residual if index in both else residual
    return both
