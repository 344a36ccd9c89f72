"""Mask nodes, and the function that packs import from this module."""

from typing import Any

import torch

from safelight.nodes.image.composite import paste
from safelight.shims.modules.comfy_extras import node


def __getattr__(name: str) -> Any:
    return node("comfy_extras.nodes_mask", name)


def composite(
    destination: torch.Tensor,
    source: torch.Tensor,
    x: int,
    y: int,
    mask: torch.Tensor | None = None,
    multiplier: int = 8,
    resize_source: bool = False,
) -> torch.Tensor:
    """Paste ``source`` on ``destination``, both ``[B, C, H, W]``; ``multiplier`` units of ``x`` and ``y`` are one
    pixel."""
    return paste(destination, source, x=x // multiplier, y=y // multiplier, resize_source=resize_source, mask=mask)
