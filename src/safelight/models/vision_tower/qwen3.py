"""The image encoder of Qwen3-VL (Bai et al. 2025) and of Qwen3.5, below ``visual.`` in their files.

Qwen3-VL shows a picture to its language model in several depths ("DeepStack", Meng et al. 2024): states from the middle
of the encoder, merged like the last one, are added to the outputs of the first layers. Qwen3.5 has none of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import layer_count
from safelight.models.language.rotary import rotated
from safelight.models.operations import Linear
from safelight.models.vision_tower.patches import FRAMES, MERGE, Patches, PatchSettings, angles_of, in_groups
from safelight.models.vision_tower.tower import SeenPicture, Tower

EPSILON = 1e-6
PATCHES = PatchSettings(size=16, smallest=65536, largest=16777216, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
_HEAD_WIDTHS = (72, 64)
"""Of the encoders that are 1152 features wide, and of the narrower ones."""
_DEEP = {27: (8, 16, 24)}
"""After which layers states are taken, in encoders of this depth; others take them at equal distances."""

Angles = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Qwen3VisionShape:
    """The encoder as its weights show it. ``grid``: learnt positions per side; ``deep``: the number of states from its
    middle."""

    width: int
    feed_forward: int
    layers: int
    out_width: int
    patch: int
    grid: int
    deep: int

    @property
    def heads(self) -> int:
        return next((self.width // one for one in _HEAD_WIDTHS if self.width % one == 0), 1)

    @property
    def deep_layers(self) -> tuple[int, ...]:
        """The layers after which the states are taken."""
        if len(known := _DEEP.get(self.layers, ())) == self.deep:
            return known
        return tuple(self.layers * number // (self.deep + 1) - 1 for number in range(1, self.deep + 1))


def qwen3_vision_shape(shapes: Mapping[str, torch.Size]) -> Qwen3VisionShape:
    """Raises :class:`KeyError` if a weight is missing."""
    width, _, _, patch, _ = shapes["visual.patch_embed.proj.weight"]
    return Qwen3VisionShape(
        width=width,
        feed_forward=shapes["visual.blocks.0.mlp.linear_fc1.weight"][0],
        layers=layer_count(shapes, "visual.blocks"),
        out_width=shapes["visual.merger.linear_fc2.weight"][0],
        patch=patch,
        grid=int(shapes["visual.pos_embed.weight"][0] ** 0.5),
        deep=layer_count(shapes, "visual.deepstack_merger_list"),
    )


class Qwen3Vision(nn.Module):
    def __init__(self, shape: Qwen3VisionShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = _PatchEmbedding(shape)
        self.pos_embed = nn.Embedding(shape.grid**2, shape.width)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.merger = _Merger(shape, norms_groups=False)
        if shape.deep:
            self.deepstack_merger_list = nn.ModuleList(_Merger(shape, norms_groups=True) for _ in range(shape.deep))

    def forward(self, patches: Patches) -> SeenPicture:
        x = self.patch_embed(patches.pixels)
        x = x + self._positions(patches.rows, patches.columns).to(x)
        angles = angles_of(patches, self.shape.width // self.shape.heads).to(x)
        both = torch.cat((angles, angles), dim=-1)
        turned = both.cos(), both.sin()
        added: list[torch.Tensor] = []
        for number, block in enumerate(self.blocks):
            x = block(x, turned)
            if number in self.shape.deep_layers:
                added.append(self.deepstack_merger_list[len(added)](x))
        return SeenPicture(self.merger(x), tuple(added))

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        """The learnt grid, stretched over the picture from corner to corner, ``[patches, width]``."""
        known = torch.arange(self.shape.grid**2, device=self.merger.norm.weight.device)
        grid = self.pos_embed(known).float().reshape(self.shape.grid, self.shape.grid, -1).movedim(-1, 0)[None]
        stretched = functional.interpolate(grid, size=(rows, columns), mode="bilinear", align_corners=True)
        return in_groups(stretched[0].movedim(0, -1))


class _PatchEmbedding(nn.Module):
    def __init__(self, shape: Qwen3VisionShape) -> None:
        super().__init__()
        kernel = (FRAMES, shape.patch, shape.patch)
        self.proj = nn.Conv3d(3, shape.width, kernel, stride=kernel)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return functional.linear(pixels.to(self.proj.weight), self.proj.weight.flatten(1), self.proj.bias)


class _Block(nn.Module):
    def __init__(self, shape: Qwen3VisionShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=EPSILON)
        self.norm2 = nn.LayerNorm(shape.width, eps=EPSILON)
        self.attn = _Attention(shape)
        self.mlp = _FeedForward(shape)

    def forward(self, x: torch.Tensor, angles: Angles) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), angles)
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class _Attention(nn.Module):
    def __init__(self, shape: Qwen3VisionShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = Linear(shape.width, shape.width * 3)
        self.proj = Linear(shape.width, shape.width)

    def forward(self, x: torch.Tensor, angles: Angles) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(len(x), 3, self.heads, -1).permute(1, 2, 0, 3).unbind(0)
        q, k = rotated(q, angles), rotated(k, angles)
        attended = functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
        result: torch.Tensor = self.proj(attended.transpose(0, 1).flatten(1))
        return result


class _FeedForward(nn.Module):
    def __init__(self, shape: Qwen3VisionShape) -> None:
        super().__init__()
        self.linear_fc1 = Linear(shape.width, shape.feed_forward)
        self.linear_fc2 = Linear(shape.feed_forward, shape.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear_fc2(functional.gelu(self.linear_fc1(x), approximate="tanh"))
        return result


class _Merger(nn.Module):
    """Joins the patches of a group. ``norms_groups``: after they are joined, instead of before."""

    def __init__(self, shape: Qwen3VisionShape, *, norms_groups: bool) -> None:
        super().__init__()
        self.joined = shape.width * MERGE**2
        self.norms_groups = norms_groups
        self.norm = nn.LayerNorm(self.joined if norms_groups else shape.width, eps=EPSILON)
        self.linear_fc1 = Linear(self.joined, self.joined)
        self.linear_fc2 = Linear(self.joined, shape.out_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x.reshape(-1, self.joined)) if self.norms_groups else self.norm(x).reshape(-1, self.joined)
        result: torch.Tensor = self.linear_fc2(functional.gelu(self.linear_fc1(x)))
        return result


def _build(shapes: Mapping[str, torch.Size]) -> Qwen3Vision:
    return Qwen3Vision(qwen3_vision_shape(shapes))


QWEN3_TOWER = Tower(PATCHES, _build)
