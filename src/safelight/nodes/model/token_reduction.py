"""Nodes that make self-attention cheaper at large sizes, at a small loss of quality.

Tiles: HyperTile. Merged tokens: Bolya and Hoffman 2023, "Token Merging for Fast Stable Diffusion". A smaller image at
high noise: Kohya's Deep Shrink.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.network_hooks import Attend, Attention, BlockIndex, NetworkHooks
from safelight.models.sampling.guidance import TimedHooks, options_of
from safelight.nodes.latent.samples import resize_samples
from safelight.nodes.model.unet_only import require_unet
from safelight.sdk import Node, NodeOutput, Schema, io


class HyperTile(Node):
    """Limit self-attention to tiles of the image, which is faster at large sizes. "max_depth" is how many downscaled
    levels of the model are tiled too; "swap_size" is how many tile sizes alternate, so that seams do not show."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="HyperTile",
            category="model_patches/unet",
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("tile_size", default=256, min=1, max=2048),
                io.Int.Input("swap_size", default=2, min=1, max=128),
                io.Int.Input("max_depth", default=0, min=0, max=10),
                io.Boolean.Input("scale_depth", default=False),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls, model: DiffusionModel, tile_size: int, swap_size: int, max_depth: int, scale_depth: bool
    ) -> NodeOutput:
        return _with_attention_hook(model, _Tiled(max(32, tile_size) // 8, swap_size, max_depth, scale_depth))


@dataclass(frozen=True)
class _Tiled:
    """Attention within tiles. ``least``: the minimum side of a tile, in latent pixels."""

    least: int
    alternatives: int
    max_depth: int
    scales_with_depth: bool

    def __call__(self, attention: Attention, attend: Attend) -> torch.Tensor:
        depth = _halvings(attention)
        if not attention.is_self or depth is None or depth > self.max_depth:
            return attend(attention)
        height, width = attention.size
        least = self.least * 2**depth if self.scales_with_depth else self.least
        rows, columns = (self._parts(side, least, attention.block) for side in (height, width))
        if rows * columns == 1:
            return attend(attention)
        tile = (height // rows, width // columns)

        def cut(tokens: torch.Tensor) -> torch.Tensor:
            grid = tokens.reshape(len(tokens), rows, tile[0], columns, tile[1], -1).transpose(2, 3)
            return grid.reshape(len(tokens) * rows * columns, tile[0] * tile[1], -1)

        q, k, v, hidden = map(cut, (attention.q, attention.k, attention.v, attention.hidden))
        attended = attend(attention.with_(q=q, k=k, v=v, hidden=hidden, size=tile))
        grid = attended.reshape(-1, rows, columns, *tile, attended.shape[-1]).transpose(2, 3)
        return grid.reshape(len(attention.q), height * width, -1)

    def _parts(self, side: int, least: int, block: BlockIndex) -> int:
        """The number of parts that a side is split into; the smallest allowed tile sizes alternate from block to
        block."""
        sizes = [size for size in range(min(least, side), side + 1) if side % size == 0][: self.alternatives]
        return side // sizes[(block.index + block.transformer) % len(sizes)]


class TomePatchModel(Node):
    """Merge the most similar tokens before attention; "ratio" is the share that is merged. Faster, slightly less
    detail."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TomePatchModel",
            category="model_patches/unet",
            inputs=[io.Model.Input("model"), io.Float.Input("ratio", default=0.3, min=0.0, max=1.0, step=0.01)],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, ratio: float) -> NodeOutput:
        if not ratio:
            return NodeOutput(model)
        options = options_of(require_unet(model, node="TomePatchModel"))
        return NodeOutput(model.with_(options=options.with_(seeded=(*options.seeded, _Merging(ratio)))))


@dataclass(frozen=True)
class _Merging:
    """Makes the hook of one run, whose seed decides which tokens are kept."""

    ratio: float

    def __call__(self, generator: torch.Generator) -> NetworkHooks:
        return NetworkHooks(attention=(_Merged(self.ratio, generator),))


@dataclass(frozen=True, eq=False)
class _Merged:
    """Merges tokens only at the latent's full size, where attention costs most."""

    ratio: float
    generator: torch.Generator

    def __call__(self, attention: Attention, attend: Attend) -> torch.Tensor:
        count = int(attention.hidden.shape[1] * self.ratio)
        if not attention.is_self or _halvings(attention) != 0 or count < 1 or 1 in attention.size:
            return attend(attention)
        merge, unmerge = merging(attention.hidden, attention.size, count, self.generator)
        return unmerge(attend(attention.with_(q=merge(attention.q))))


Tokens = Callable[[torch.Tensor], torch.Tensor]


def merging(
    hidden: torch.Tensor, size: tuple[int, int], count: int, generator: torch.Generator
) -> tuple[Tokens, Tokens]:
    """Return ``merge`` and ``unmerge``. ``merge`` reduces ``[B, tokens, C]`` by ``count``, averaging similar tokens;
    ``unmerge`` copies each average's result back to its tokens. Bipartite soft matching between one random token of
    each 2x2 and all others (section 4)."""
    height, width = size
    first = _random_positions(height, width, generator).flatten().to(hidden.device)
    kept, rest = first.nonzero().flatten(), (~first).nonzero().flatten()
    count = min(len(rest), count)
    metric = functional.normalize(hidden, dim=-1)
    similarity, best = (metric[:, rest] @ metric[:, kept].transpose(1, 2)).max(dim=-1)
    order = similarity.argsort(dim=-1, descending=True, stable=True)
    merged, unmerged = rest[order[:, :count]], rest[order[:, count:]]
    to = best.gather(1, order[:, :count])

    def merge(tokens: torch.Tensor) -> torch.Tensor:
        features = tokens.shape[-1]
        targets, sources = tokens[:, kept], _gather(tokens, merged)
        index = to[..., None].expand(-1, -1, features)
        targets = targets.scatter_reduce(1, index, sources, reduce="mean", include_self=True)
        return torch.cat((_gather(tokens, unmerged), targets), dim=1)

    def unmerge(tokens: torch.Tensor) -> torch.Tensor:
        features = tokens.shape[-1]
        alone, targets = tokens[:, : unmerged.shape[1]], tokens[:, unmerged.shape[1] :]
        whole = tokens.new_empty(len(tokens), height * width, features)
        whole[:, kept] = targets
        whole.scatter_(1, unmerged[..., None].expand(-1, -1, features), alone)
        whole.scatter_(1, merged[..., None].expand(-1, -1, features), _gather(targets, to))
        return whole

    return merge, unmerge


def _random_positions(height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """``[height, width]``: true for one random position of each whole 2x2."""
    rows, columns = height // 2, width // 2
    chosen = torch.randint(4, (rows, columns, 1), generator=generator, device=generator.device)
    cells = torch.zeros(rows, columns, 4, dtype=torch.bool, device=generator.device).scatter_(2, chosen, True)
    positions = torch.zeros(height, width, dtype=torch.bool, device=generator.device)
    positions[: rows * 2, : columns * 2] = (
        cells.reshape(rows, columns, 2, 2).transpose(1, 2).reshape(rows * 2, columns * 2)
    )
    return positions


def _gather(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def _halvings(attention: Attention) -> int | None:
    """How often the latent's size was halved; ``None`` if the size is not a halving of it."""
    height, width = attention.full
    for depth in range(11):
        if attention.size == (height, width):
            return depth
        height, width = -(-height // 2), -(-width // 2)
    return None


def _with_attention_hook(model: DiffusionModel, hook: _Tiled) -> NodeOutput:
    options = options_of(require_unet(model, node="HyperTile"))
    return NodeOutput(model.with_(options=options.with_(hooks=options.hooks + NetworkHooks(attention=(hook,)))))


_METHODS = ["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]


class PatchModelAddDownscale(Node):
    """Downscale the image inside the model, from block "block_number" on, during the first part of sampling. Large
    images then keep one subject."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PatchModelAddDownscale",
            display_name="PatchModelAddDownscale (Kohya Deep Shrink)",
            category="model_patches/unet",
            inputs=[
                io.Model.Input("model"),
                io.Int.Input("block_number", default=3, min=1, max=32, step=1),
                io.Float.Input("downscale_factor", default=2.0, min=0.1, max=9.0, step=0.001),
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end_percent", default=0.35, min=0.0, max=1.0, step=0.001),
                io.Boolean.Input("downscale_after_skip", default=True),
                io.Combo.Input("downscale_method", _METHODS),
                io.Combo.Input("upscale_method", _METHODS),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        block_number: int,
        downscale_factor: float,
        start_percent: float,
        end_percent: float,
        downscale_after_skip: bool,
        downscale_method: str,
        upscale_method: str,
    ) -> NodeOutput:
        def smaller(hidden: torch.Tensor, block: BlockIndex) -> torch.Tensor:
            if block.index != block_number or block.section != "input":
                return hidden
            height, width = (max(1, round(side / downscale_factor)) for side in hidden.shape[2:])
            return resize_samples(hidden, width, height, method=downscale_method, crop="disabled")

        def larger(hidden: torch.Tensor, skip: torch.Tensor, block: BlockIndex) -> tuple[torch.Tensor, torch.Tensor]:
            if hidden.shape[2:] == skip.shape[2:]:
                return hidden, skip
            height, width = skip.shape[2:]
            return resize_samples(hidden, width, height, method=upscale_method, crop="disabled"), skip

        levels = model.parameterization.levels
        start, end = levels.sigma_at(start_percent), levels.sigma_at(end_percent)
        options = options_of(require_unet(model, node="PatchModelAddDownscale"))
        before, after = ((), (smaller,)) if downscale_after_skip else ((smaller,), ())
        timed = TimedHooks(NetworkHooks(skip=(larger,), block=before, after_skip=after), start, end)
        return NodeOutput(model.with_(options=options.with_(timed=(*options.timed, timed))))
