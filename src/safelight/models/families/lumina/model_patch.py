"""Alibaba's Fun ControlNets of Z-Image: blocks beside the network's own, which see the image and what enters the
network's blocks, and add to what comes out of them. Version 2 sees a picture to paint into as well, and adds to the
blocks that refine the picture.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from safelight.models.control.model_patch import Guide
from safelight.models.families.flux.family import FLUX_LATENT
from safelight.models.families.lumina.network import PATCH, NextDiTBlock, NextDiTShape, in_patches
from safelight.models.fitting import fit_planes
from safelight.models.network_hooks import TokenBlock, TokenHookStart
from safelight.models.operations import Linear
from safelight.models.precision import compute_dtype
from safelight.models.residency import compute_device, residency
from safelight.models.weights import Source, WeightFile, Weights, count_blocks

MAIN_BLOCKS = 30
"""Blocks of the published networks, over which those of the control are spread."""
_EMBEDDER = "control_all_x_embedder.2-1"
_REFINER = "control_noise_refiner.0.after_proj.weight"


IN_FILES = {
    ".attention.out.": ".attention.to_out.0.",
    ".attention.q_norm.": ".attention.norm_q.",
    ".attention.k_norm.": ".attention.norm_k.",
    ".attention.qkv.parts.0.": ".attention.to_q.",
    ".attention.qkv.parts.1.": ".attention.to_k.",
    ".attention.qkv.parts.2.": ".attention.to_v.",
}
"""Parts of the network's names, and what they are in files."""


def read_model_patch(file: WeightFile) -> "ZImageControl | None":
    if f"{_EMBEDDER}.weight" not in file.shapes:
        return None
    weights = _fused(file.weights())
    shapes = weights.shapes
    width, features = shapes[f"{_EMBEDDER}.weight"]
    first = "control_layers.0"
    head_width = shapes[f"{first}.attention.q_norm.weight"][0]
    time_width = shapes[f"{first}.adaLN_modulation.0.weight"][1]
    shape = NextDiTShape(
        channels=features // PATCH**2,
        width=width,
        text_width=0,
        layers=count_blocks(shapes, "control_layers"),
        refiners=count_blocks(shapes, "control_noise_refiner"),
        heads=width // head_width,
        key_heads=width // head_width,
        feed_forward=shapes[f"{first}.feed_forward.w1.weight"][0],
        time_hidden=0,
        time_width=time_width,
        is_z_image=True,
        is_filled=False,
    )
    refines = _REFINER in shapes
    untrained = refines and not any(value.count_nonzero() for _, value in weights.only([_REFINER]).read())
    return ZImageControl(weights, shape, refines, untrained)


def _fused(weights: Weights) -> Weights:
    """Under the network's names. Query, key and value, which the files keep apart, stay apart: ``qkv`` has three
    parts."""
    made: dict[str, Source] = {}
    for name, source in weights.sources.items():
        for own, theirs in IN_FILES.items():
            name = name.replace(theirs, own)
        made[name] = source
    return Weights(made)


@dataclass(frozen=True)
class ZImageControl:
    """``refines``: it adds to the blocks that refine the picture. ``is_untrained``: the blocks for that are zero, as in
    the first files of version 2, whose other blocks were trained in their place."""

    weights: Weights
    shape: NextDiTShape
    refines: bool
    is_untrained: bool

    @property
    def takes_painted(self) -> bool:
        return self.shape.channels > FLUX_LATENT.channels

    def hook(self, guide: Guide) -> TokenHookStart:
        """See :class:`safelight.models.control.model_patch.ControlPatch`."""
        return lambda x: _Pass(self, guide.encoded_for(x, self._encoded), guide.strength)

    def _encoded(self, guide: Guide) -> torch.Tensor:
        """``[B, channels, h, w]``: the image; then, where the network sees it, the mask and the picture without what is
        to be painted."""

        def latent(image: torch.Tensor) -> torch.Tensor:
            return FLUX_LATENT.to_network(guide.autoencoder.encode(image[..., :3]))

        if not self.takes_painted:
            assert guide.image is not None
            return latent(guide.image)
        painted, mask = guide.painted, guide.mask
        if painted is None:
            assert guide.image is not None
            painted = torch.full_like(guide.image[..., :3], 0.5)
        kept = None if mask is None else 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
        if kept is not None:
            shown = fit_planes(kept, (painted.shape[1], painted.shape[2]), mode="bilinear").round()
            painted = (painted[..., :3] - 0.5) * shown.movedim(1, -1) + 0.5
        around = latent(painted)
        if kept is None:
            plane = torch.zeros_like(around[:, :1])
        else:
            plane = fit_planes(kept, (around.shape[-2], around.shape[-1]), mode="nearest").to(around)
        image = torch.full_like(painted, 0.5) if guide.image is None else guide.image
        return torch.cat((latent(image), plane, around), dim=1)

    def build(self) -> "_Module":
        return _Module(self)


class _Pass:
    """One forward pass. Mutable: ``hidden``, what the control's blocks have made of the image so far, and ``done``, how
    many of them ran."""

    def __init__(self, patch: ZImageControl, latent: torch.Tensor, strength: float) -> None:
        self._patch = patch
        self._latent = latent
        self._strength = strength
        self._hidden: torch.Tensor | None = None
        self._done = 0

    def __call__(self, tokens: torch.Tensor, block: TokenBlock) -> torch.Tensor:
        device = compute_device()
        patch = self._patch
        with residency().use(patch.weights, (), patch.build, device=device, dtype=compute_dtype(device)) as module:
            residual = self._residual(module, block)
        if residual is None:
            return tokens
        count = residual.shape[1]
        added = tokens[:, :count] + residual.to(tokens) * self._strength
        return torch.cat((added, tokens[:, count:]), dim=1)

    def _residual(self, module: "_Module", block: TokenBlock) -> torch.Tensor | None:
        count = len(module.control_layers)
        spread = round(MAIN_BLOCKS / count)
        if block.kind == "double" and block.index > (count - 1) * spread:
            return None
        if self._hidden is None:
            self._hidden = module.embedded(self._latent, block)
        if block.kind == "refiner":
            if not self._patch.refines:
                return None
            refined, self._hidden = module.refined(self._hidden, block)
            return refined
        residual: torch.Tensor | None = None
        while self._done <= block.index // spread:
            residual, self._hidden = module.control_layers[self._done](self._hidden, block)
            self._done += 1
        return residual if block.index % spread == 0 else None


class _Module(nn.Module):
    def __init__(self, patch: ZImageControl) -> None:
        super().__init__()
        shape = patch.shape
        self._patch = patch
        self.control_all_x_embedder = nn.ModuleDict({"2-1": Linear(shape.channels * PATCH**2, shape.width)})
        self.control_layers = nn.ModuleList(_ControlBlock(shape, index) for index in range(shape.layers))
        refiner: Any = _ControlBlock if patch.refines else _PlainBlock
        self.control_noise_refiner = nn.ModuleList(refiner(shape, index) for index in range(shape.refiners))

    def embedded(self, latent: torch.Tensor, block: TokenBlock) -> torch.Tensor:
        layer: Any = self.control_all_x_embedder["2-1"]
        hidden: torch.Tensor = layer(in_patches(latent.to(layer.bias.dtype))[0])
        if not self._patch.refines:
            for refiner in self.control_noise_refiner:
                hidden = refiner(hidden, block)
        return hidden

    def refined(self, hidden: torch.Tensor, block: TokenBlock) -> tuple[torch.Tensor, torch.Tensor]:
        """What to add after a block that refines the picture, and the next state."""
        if not self._patch.is_untrained:
            made: tuple[torch.Tensor, torch.Tensor] = self.control_noise_refiner[block.index](hidden, block)
            return made
        residual, hidden = self.control_layers[min(block.index, 1)](hidden, block)
        if block.index:
            for layer in self.control_layers[2:]:
                _, hidden = layer(hidden, block)
        return residual, hidden


class _PlainBlock(NextDiTBlock):
    def __init__(self, shape: NextDiTShape, index: int) -> None:
        super().__init__(shape)
        self.attention.qkv = _Fused(shape)  # type: ignore[assignment]

    def forward(self, hidden: torch.Tensor, block: TokenBlock) -> torch.Tensor:  # type: ignore[override]
        turns = block.turns[:, :, : hidden.shape[1]]
        result: torch.Tensor = super().forward(hidden, turns, block.embedding.to(hidden))
        return result


class _ControlBlock(_PlainBlock):
    """The first one sees what enters the network's blocks."""

    def __init__(self, shape: NextDiTShape, index: int) -> None:
        super().__init__(shape, index)
        if index == 0:
            self.before_proj = Linear(shape.width, shape.width)
        self.after_proj = Linear(shape.width, shape.width)

    def forward(  # type: ignore[override]
        self, hidden: torch.Tensor, block: TokenBlock
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if hasattr(self, "before_proj"):
            hidden = self.before_proj(hidden) + block.entering[:, : hidden.shape[1]].to(hidden)
        hidden = super().forward(hidden, block)
        return self.after_proj(hidden), hidden


class _Fused(nn.Module):
    """Query, key and value from layers of their own, side by side."""

    def __init__(self, shape: NextDiTShape) -> None:
        super().__init__()
        self.parts = nn.ModuleList(Linear(shape.width, shape.width, bias=False) for _ in range(3))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.cat([part(hidden) for part in self.parts], dim=-1)
