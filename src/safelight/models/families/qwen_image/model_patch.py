"""DiffSynth-Studio's control of Qwen-Image: a small network for each block, which adds to the block's result what it
makes of it and of the image.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.control.model_patch import Guide
from safelight.models.families.qwen_image.latent import WAN21_LATENT
from safelight.models.families.qwen_image.network import PATCH, in_patches
from safelight.models.network_hooks import TokenBlock, TokenHook, TokenHookStart
from safelight.models.operations import Linear
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weights import WeightFile, Weights, count_blocks

EPSILON = 1e-6


def read_model_patch(file: WeightFile) -> "QwenImageBlockControl | None":
    shapes = file.shapes
    if "controlnet_blocks.0.y_rms.weight" not in shapes:
        return None
    width, features = shapes["img_in.weight"]
    return QwenImageBlockControl(file.weights(), width, features // PATCH**2, count_blocks(shapes, "controlnet_blocks"))


@dataclass(frozen=True)
class QwenImageBlockControl:
    """``channels``: of the latent of the image, with those of its mask."""

    weights: Weights
    width: int
    channels: int
    blocks: int
    takes_painted: bool = False

    def hook(self, guide: Guide) -> TokenHookStart:
        """See :class:`safelight.models.control.model_patch.ControlPatch`."""

        def start(x: torch.Tensor) -> TokenHook:
            latent = guide.encoded_for(x, self._encoded)

            def after(tokens: torch.Tensor, block: TokenBlock) -> torch.Tensor:
                if block.kind != "double" or block.index >= self.blocks:
                    return tokens
                device = compute_device()
                with residency().use(
                    self.weights, (), self.build, device=device, dtype=compute_dtype(device)
                ) as module:
                    seen = module.img_in(in_patches(latent).to(module.img_in.bias.dtype))
                    own = tokens[:, : seen.shape[1]]
                    added = module.controlnet_blocks[block.index](own.to(seen.dtype), seen) * guide.strength
                return torch.cat((own + added.to(own), tokens[:, seen.shape[1] :]), dim=1)

            return after

        return start

    def _encoded(self, guide: Guide) -> torch.Tensor:
        """``[1, channels, 1, h, w]``; the mask's planes are 1 where nothing is painted."""
        assert guide.image is not None
        latent = WAN21_LATENT.to_network(guide.autoencoder.encode(guide.image[..., :3]))
        more = self.channels - latent.shape[1]
        if not more:
            return latent
        if guide.mask is None:
            plane = torch.ones_like(latent[:, :1])
        else:
            kept = 1.0 - guide.mask.reshape(-1, 1, *guide.mask.shape[-2:])
            plane = functional.interpolate(kept, size=tuple(latent.shape[-2:]), mode="bilinear")[:, :, None]
        return torch.cat((latent, plane.to(latent).expand(-1, more, -1, -1, -1)), dim=1)

    def build(self) -> nn.Module:
        module = nn.Module()
        module.img_in = Linear(self.channels * PATCH**2, self.width)
        module.controlnet_blocks = nn.ModuleList(_Block(self.width) for _ in range(self.blocks))
        return module


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.x_rms = nn.RMSNorm(width, eps=EPSILON)
        self.y_rms = nn.RMSNorm(width, eps=EPSILON)
        self.input_proj = Linear(width, width)
        self.output_proj = Linear(width, width)

    def forward(self, tokens: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        made: Any = self.output_proj(functional.gelu(self.input_proj(self.x_rms(tokens) + self.y_rms(seen))))
        return made  # type: ignore[no-any-return]
