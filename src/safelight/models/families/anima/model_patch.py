"""LLLite controls of Anima (Kohya, "ControlNet-LLLite", version 2): an image becomes an embedding for each token, which
changes what enters some of the network's layers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.fitting import fit_planes
from safelight.models.network_hooks import EnteringHook, EnteringHookStart
from safelight.models.operations import Conv2d, Linear
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weights import UnknownWeights, WeightFile, Weights, count_blocks

PREFIX = "lllite_dit_"
PIXELS = 8
"""Image pixels per side of a latent pixel."""
VERSION = "2"
_FIRST = "lllite_conditioning1."
_LAYER = re.compile(r"lllite_dit_(blocks_\d+_(?:self_attn_[qkv]_proj|cross_attn_q_proj|mlp_layer1))\.down\.weight")


def read_model_patch(file: WeightFile) -> "LiteControl | None":
    shapes = file.shapes
    if f"{_FIRST}conv1.weight" not in shapes:
        return None
    version = file.metadata.get("lllite.version", VERSION)
    if version != VERSION:
        raise UnknownWeights(
            f"{file.path.name!r} is an LLLite control of version {version!r}; supported is {VERSION!r}"
        )
    dilations = file.metadata.get("lllite.aspp_dilations", "1,2,4,8")
    layers = {found[1]: shapes[name] for name in shapes if (found := _LAYER.fullmatch(name))}
    return LiteControl(
        file.weights(),
        LiteShape(
            channels=shapes[f"{_FIRST}conv1.weight"][1],
            width=shapes[f"{_FIRST}conv3.weight"][0],
            out=shapes[f"{_FIRST}proj.weight"][0],
            blocks=count_blocks(shapes, f"{_FIRST}resblocks"),
            dilations=tuple(int(part) for part in dilations.split(","))
            if any(name.startswith(f"{_FIRST}aspp.") for name in shapes)
            else (),
            layers={name: (shape[1], shape[0]) for name, shape in layers.items()},
        ),
        hides_painted=file.metadata.get("lllite.inpaint_masked_input", "false").lower() == "true",
    )


@dataclass(frozen=True)
class LiteShape:
    """``channels``: of the image, with its mask. ``layers``: by the layer whose input it changes, the features of that
    input and of the inside."""

    channels: int
    width: int
    out: int
    blocks: int
    dilations: tuple[int, ...]
    layers: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class LiteControl:
    """``hides_painted``: what is to be painted is gray in the image."""

    weights: Weights
    shape: LiteShape
    hides_painted: bool

    @property
    def takes_mask(self) -> bool:
        return self.shape.channels > 3

    def entering_hook(self, image: torch.Tensor, mask: torch.Tensor | None, strength: float) -> EnteringHookStart:
        """``image [B, H, W, 3]`` in 0..1; ``mask [B, H, W]``, 1 where to paint."""
        made: dict[tuple[int, ...], torch.Tensor] = {}

        def start(x: torch.Tensor) -> EnteringHook:
            size = (x.shape[-2] * PIXELS, x.shape[-1] * PIXELS)

            def entering(tokens: torch.Tensor, layer: str) -> torch.Tensor:
                if layer not in self.shape.layers:
                    return tokens
                device = compute_device()
                with residency().use(
                    self.weights, (), self.build, device=device, dtype=compute_dtype(device)
                ) as module:
                    if size not in made:
                        made[size] = module.lllite_conditioning1(self._planes(image, mask, size).to(device))
                    change: torch.Tensor = module.get_submodule(f"{PREFIX}{layer}")(tokens, made[size])
                return tokens + change.to(tokens) * strength

            return entering

        return start

    def _planes(self, image: torch.Tensor, mask: torch.Tensor | None, size: tuple[int, int]) -> torch.Tensor:
        planes = fit_planes(image[..., :3].movedim(-1, 1), size, mode="bicubic").clamp(0, 1) * 2 - 1
        if not self.takes_mask:
            return planes
        given = torch.zeros(1, 1, *size) if mask is None else mask.reshape(-1, 1, *mask.shape[-2:])
        painted = (fit_planes(given.float(), size, mode="nearest-exact") >= 0.5).to(planes)
        if self.hides_painted:
            planes = planes * (1 - painted)
        return torch.cat((planes, painted.expand(len(planes), -1, -1, -1) * 2 - 1), dim=1)

    def build(self) -> nn.Module:
        module = nn.Module()
        module.lllite_conditioning1 = _Conditioning(self.shape)
        for layer, (features, inner) in self.shape.layers.items():
            module.add_module(f"{PREFIX}{layer}", _Layer(features, inner, self.shape.out))
        return module


class _Layer(nn.Module):
    def __init__(self, features: int, inner: int, condition: int) -> None:
        super().__init__()
        self.down = Linear(features, inner)
        self.mid = Linear(inner + condition, inner)
        self.cond_to_film = Linear(condition, 2 * inner)
        self.up = Linear(inner, features)
        self.depth_embed = nn.Parameter(torch.empty(condition))

    def forward(self, tokens: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """What to add to the tokens."""
        dtype = self.down.bias.dtype
        local = (condition + self.depth_embed).expand(len(tokens), -1, -1)
        hidden = functional.silu(self.down(tokens.to(dtype)))
        scale, shift = self.cond_to_film(local).chunk(2, dim=-1)
        hidden = self.mid(torch.cat((local, hidden), dim=-1))
        result: torch.Tensor = self.up(functional.silu(hidden * (1 + scale) + shift))
        return result


class _Conditioning(nn.Module):
    """From an image to an embedding for each square of 16 pixels."""

    def __init__(self, shape: LiteShape) -> None:
        super().__init__()
        half, width = shape.width // 2, shape.width
        self.conv1, self.norm1 = Conv2d(shape.channels, half, 4, stride=4), _norm(half)
        self.conv2, self.norm2 = Conv2d(half, half, 3, padding=1), _norm(half)
        self.conv3, self.norm3 = Conv2d(half, width, 4, stride=4), _norm(width)
        self.resblocks = nn.ModuleList(_Residual(width) for _ in range(shape.blocks))
        if shape.dilations:
            self.aspp = _Pyramid(width, shape.dilations)
        self.proj = Conv2d(width, shape.out, 1)
        self.out_norm = nn.LayerNorm(shape.out)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        hidden: Any = planes.to(self.conv1.weight.dtype)
        for convolution, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2), (self.conv3, self.norm3)):
            hidden = functional.silu(norm(convolution(hidden)))
        for block in self.resblocks:
            hidden = block(hidden)
        if hasattr(self, "aspp"):
            hidden = self.aspp(hidden)
        result: torch.Tensor = self.out_norm(self.proj(hidden).flatten(2).transpose(1, 2))
        return result


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(width), Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = _norm(width), Conv2d(width, width, 3, padding=1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = self.conv1(functional.silu(self.norm1(hidden)))
        result: torch.Tensor = hidden + self.conv2(functional.silu(self.norm2(inner)))
        return result


class _Pyramid(nn.Module):
    """Convolutions of several dilations and the mean of the whole image, mixed (Chen et al. 2017)."""

    def __init__(self, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        branches = [
            Conv2d(width, width, 1) if d == 1 else Conv2d(width, width, 3, padding=d, dilation=d) for d in dilations
        ]
        self.branches = nn.ModuleList(nn.Sequential(one, _norm(width), nn.SiLU()) for one in branches)
        self.global_conv = nn.Sequential(Conv2d(width, width, 1), _norm(width), nn.SiLU())
        self.proj = nn.Sequential(Conv2d(width * (len(dilations) + 1), width, 1), _norm(width), nn.SiLU())

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        seen = [branch(hidden) for branch in self.branches]
        mean = self.global_conv(hidden.mean(dim=(2, 3), keepdim=True)).expand_as(hidden)
        result: torch.Tensor = self.proj(torch.cat([*seen, mean], dim=1))
        return result


def _norm(channels: int) -> nn.GroupNorm:
    groups = 8
    while groups > 1 and channels % groups:
        groups //= 2
    return nn.GroupNorm(groups, channels)
