"""The values on ``MODEL_PATCH`` links: small networks that change what a transformer computes between its blocks.

A family reads its patches in a module ``model_patch``, with the function ``read_model_patch(file)``: the patch in a
file, or ``None`` for another family's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from safelight.models.families.registry import FOLDERS
from safelight.models.fitting import fit_planes
from safelight.models.network_hooks import EnteringHookStart, TextHook, TokenHookStart
from safelight.models.weights import UnknownWeights, WeightFile, weight_file


@dataclass(frozen=True, eq=False)
class Guide:
    """The images that guide, ``[B, H, W, 3]`` in 0..1, at least one of them. ``mask [B, H, W]`` is 1 where to paint."""

    autoencoder: Any
    image: torch.Tensor | None = None
    painted: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    strength: float = 1.0
    _encoded: dict[tuple[int, ...], torch.Tensor] = field(default_factory=dict, repr=False)
    """Mutable: what :meth:`encoded_for` made, by the size of the latent."""

    def encoded_for(self, x: torch.Tensor, encode: Callable[["Guide"], torch.Tensor]) -> torch.Tensor:
        """``encode`` of the images in the size of a latent ``x``, computed once."""
        size = (x.shape[-2], x.shape[-1])
        if size not in self._encoded:
            self._encoded[size] = encode(self._fitted(size)).to(x.device)
        return self._encoded[size]

    def _fitted(self, size: tuple[int, int]) -> "Guide":
        factor = self.autoencoder.spacial_compression_encode()
        pixels = (size[0] * factor, size[1] * factor)

        def fitted(image: torch.Tensor | None) -> torch.Tensor | None:
            if image is None or tuple(image.shape[1:3]) == pixels:
                return image
            return fit_planes(image.movedim(-1, 1), pixels, mode="area").movedim(1, -1)

        return Guide(self.autoencoder, fitted(self.image), fitted(self.painted), self.mask, self.strength)


@runtime_checkable
class ControlPatch(Protocol):
    """A patch that guides by images."""

    takes_painted: bool
    """Whether an image to paint into may be given, too."""

    def hook(self, guide: Guide) -> TokenHookStart: ...


@runtime_checkable
class StylePatch(Protocol):
    """A patch that adds the style of an image to the prompt's tokens."""

    def text_hook(self, layers: torch.Tensor) -> TextHook:
        """``layers [B, layers, tokens, width]``: the states of the image's encoder."""
        ...


@runtime_checkable
class EnteringPatch(Protocol):
    """A patch that guides by an image through what enters the layers."""

    @property
    def takes_mask(self) -> bool: ...

    def entering_hook(self, image: torch.Tensor, mask: torch.Tensor | None, strength: float) -> EnteringHookStart: ...


ModelPatch = ControlPatch | StylePatch | EnteringPatch


def load_model_patch(path: Path) -> ModelPatch:
    """Raises :class:`UnknownWeights`; :class:`safelight.media.media_errors.UnreadableWeights`."""
    file = weight_file(path)
    for folder in FOLDERS:
        module = f"safelight.models.families.{folder}.model_patch"
        if find_spec(module) is None:
            continue
        read: Callable[[WeightFile], ModelPatch | None] = import_module(module).read_model_patch
        if (found := read(file)) is not None:
            return found
    raise UnknownWeights(f"{path.name!r} contains no supported model patch")
