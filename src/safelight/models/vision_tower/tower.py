"""The interface of an image encoder, and how one is made from the weights below ``visual.``"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from safelight.models.vision_tower.patches import Patches, PatchSettings


@dataclass(frozen=True, eq=False)
class SeenPicture:
    """``tokens [n, width]``: the embeddings that stand for a picture, row by row; ``added``, each ``[n, width]``: what
    is added to the outputs of the first layers of the language model at their places."""

    tokens: torch.Tensor
    added: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True)
class Tower:
    """``build``: an encoder without data from the shapes of its weights; raises :class:`KeyError` if one is missing. It
    is called with :class:`Patches` and returns :class:`SeenPicture`."""

    patches: PatchSettings
    build: Callable[[Mapping[str, torch.Size]], nn.Module]


See = Callable[[Patches], SeenPicture]
