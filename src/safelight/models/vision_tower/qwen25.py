"""The image encoder of Qwen2.5-VL (Bai et al. 2025), below ``visual.`` in its files. Most layers attend within windows
of 112 pixels, the others to the whole picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.language.rotary import rotated
from safelight.models.operations import Linear
from safelight.models.vision_tower.patches import FRAMES, MERGE, Patches, PatchSettings, angles_of
from safelight.models.vision_tower.tower import SeenPicture, Tower

WINDOW_GROUPS = 4
"""Groups of patches per side of a window."""
WHOLE_EVERY = 8
"""The last of so many layers attends to the whole picture."""
EPSILON = 1e-6
HEADS = 16

PATCHES = PatchSettings()

Angles = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Qwen25VisionShape:
    """The encoder as its weights show it."""

    width: int
    feed_forward: int
    layers: int
    out_width: int
    patch: int


def qwen25_vision_shape(shapes: Mapping[str, torch.Size]) -> Qwen25VisionShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, _, _, patch, _ = shapes["visual.patch_embed.proj.weight"]
    return Qwen25VisionShape(
        width=width,
        feed_forward=shapes["visual.blocks.0.mlp.gate_proj.weight"][0],
        layers=layer_count(shapes, "visual.blocks"),
        out_width=shapes["visual.merger.mlp.2.weight"][0],
        patch=patch,
    )


class Qwen25Vision(nn.Module):
    def __init__(self, shape: Qwen25VisionShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = _PatchEmbedding(shape)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.merger = _Merger(shape)

    def forward(self, patches: Patches) -> SeenPicture:
        """Embeddings of the groups, ``[rows * columns / 4, out_width]``, in the order of the windows: ComfyUI does not
        put them back into rows (MODEL-21)."""
        pixels = patches.pixels
        order, windows = _windows(patches.rows, patches.columns)
        order = order.to(pixels.device)
        x = _of_groups(self.patch_embed(pixels), order)
        angles = _of_groups(angles_of(patches, self.shape.width // HEADS).to(x), order)
        both = torch.cat((angles, angles), dim=-1)
        turned = both.cos(), both.sin()
        for number, block in enumerate(self.blocks):
            sees_all = number % WHOLE_EVERY == WHOLE_EVERY - 1
            x = block(x, turned, [len(x)] if sees_all else windows)
        return SeenPicture(self.merger(x))


class _PatchEmbedding(nn.Module):
    def __init__(self, shape: Qwen25VisionShape) -> None:
        super().__init__()
        kernel = (FRAMES, shape.patch, shape.patch)
        self.proj = nn.Conv3d(3, shape.width, kernel, stride=kernel, bias=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return functional.linear(pixels.to(self.proj.weight), self.proj.weight.flatten(1))


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class _Block(nn.Module):
    def __init__(self, shape: Qwen25VisionShape) -> None:
        super().__init__()
        self.norm1, self.norm2 = _Norm(shape.width), _Norm(shape.width)
        self.attn = _Attention(shape.width)
        self.mlp = _FeedForward(shape)

    def forward(self, x: torch.Tensor, angles: Angles, windows: list[int]) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), angles, windows)
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class _Attention(nn.Module):
    """Within windows of these many patches, one after the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = Linear(width, width * 3)
        self.proj = Linear(width, width)

    def forward(self, x: torch.Tensor, angles: Angles, windows: list[int]) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(len(x), 3, HEADS, -1).permute(1, 2, 0, 3).unbind(0)
        q, k = rotated(q, angles), rotated(k, angles)
        parts = zip(*(torch.split(part, windows, dim=1) for part in (q, k, v)), strict=True)
        attended = [functional.scaled_dot_product_attention(*(part[None] for part in window))[0] for window in parts]
        result: torch.Tensor = self.proj(torch.cat(attended, dim=1).transpose(0, 1).flatten(1))
        return result


class _FeedForward(nn.Module):
    def __init__(self, shape: Qwen25VisionShape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.width, shape.feed_forward)
        self.up_proj = Linear(shape.width, shape.feed_forward)
        self.down_proj = Linear(shape.feed_forward, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class _Merger(nn.Module):
    """Joins the patches of a group."""

    def __init__(self, shape: Qwen25VisionShape) -> None:
        super().__init__()
        self.joined = shape.width * MERGE**2
        self.ln_q = _Norm(shape.width)
        self.mlp = nn.Sequential(Linear(self.joined, self.joined), nn.GELU(), Linear(self.joined, shape.out_width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mlp(self.ln_q(x).reshape(-1, self.joined))
        return result


def _windows(rows: int, columns: int) -> tuple[torch.Tensor, list[int]]:
    """The groups of patches in the order of their windows, and the number of patches in each window."""
    groups = torch.arange(rows * columns // MERGE**2).reshape(rows // MERGE, columns // MERGE)
    windows = [
        part.flatten()
        for band in torch.split(groups, WINDOW_GROUPS, dim=0)
        for part in torch.split(band, WINDOW_GROUPS, dim=1)
    ]
    return torch.cat(windows), [len(window) * MERGE**2 for window in windows]


def _of_groups(patches: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """``patches``, listed group by group, with the groups in this order."""
    return patches.reshape(-1, MERGE**2, patches.shape[-1])[order].flatten(0, 1)


def _build(shapes: Mapping[str, torch.Size]) -> Qwen25Vision:
    return Qwen25Vision(qwen25_vision_shape(shapes))


QWEN25_TOWER = Tower(PATCHES, _build)
