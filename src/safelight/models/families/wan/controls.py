"""What guides Wan by a video: VACE (Jiang et al. 2025), whose own blocks run beside those of the network, and the
path of a camera, which is added to the tokens."""

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from safelight.models.families.wan.blocks import Block, BlockInputs
from safelight.models.operations import Conv2d, Linear


def vace_places(layers: int, vace_layers: int) -> dict[int, int]:
    """After which blocks of the network which of VACE's run."""
    return {block: number for number, block in enumerate(range(0, layers, layers // vace_layers))}


class VaceBlock(Block):
    """``is_first``: it adds the tokens of the latent to those of the control video."""

    def __init__(self, width: int, feed_forward: int, *, is_first: bool) -> None:
        super().__init__(width, feed_forward)
        if is_first:
            self.before_proj = Linear(width, width)
        self.after_proj = Linear(width, width)

    def controlled(
        self, video: torch.Tensor, start: torch.Tensor, given: BlockInputs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is added to the network's tokens, and the video's tokens for the next block. ``start``: the tokens of
        the latent before all blocks."""
        if hasattr(self, "before_proj"):
            video = self.before_proj(video) + start
        video = self(video, given)
        return self.after_proj(video), video


class CameraAdapter(nn.Module):
    """The viewing rays of pixels as what is added to the tokens."""

    SQUARE: ClassVar[int] = 8
    """Pixels per side that become one position."""

    def __init__(self, channels: int, width: int, *, blocks: int = 1) -> None:
        super().__init__()
        self.conv = Conv2d(channels * self.SQUARE**2, width, 2, stride=2)
        self.residual_blocks = nn.Sequential(*(_Residual(width) for _ in range(blocks)))

    def forward(self, rays: torch.Tensor) -> torch.Tensor:
        """``[B, C, frames, H, W]`` to ``[B, width, frames, H / 16, W / 16]``."""
        planes = functional.pixel_unshuffle(rays.transpose(1, 2).flatten(0, 1), self.SQUARE)
        made = self.residual_blocks(self.conv(planes))
        frames: torch.Tensor = made.unflatten(0, (len(rays), -1)).transpose(1, 2)
        return frames


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv2d(width, width, 3, padding=1), Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv2(functional.relu(self.conv1(x))) + x
        return result
