"""Nodes that split a large image into overlapping tiles, and merge them again."""

from collections.abc import Iterator, Sequence

import torch

from safelight.nodes.image.size_limit import check_size
from safelight.sdk import Node, NodeOutput, Schema, io

MIN_STRIDE = 0.25
"""Tiles advance by at least this fraction of their size, whatever the overlap."""


class SplitImageToTileList(Node):
    """Split an image into a list of tiles, row by row. Tiles overlap by "overlap" pixels; those at the right and lower
    border overlap more where the size is not a multiple."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SplitImageToTileList",
            display_name="Split Image into List of Tiles",
            category="image/batch",
            search_aliases=["split image", "tile image", "slice image"],
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("tile_width", default=1024, min=64, max=1048576),
                io.Int.Input("tile_height", default=1024, min=64, max=1048576),
                io.Int.Input("overlap", default=128, min=0, max=4096),
            ],
            outputs=[io.Image.Output(is_list=True)],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, tile_width: int, tile_height: int, overlap: int) -> NodeOutput:
        height, width = image.shape[1:3]
        return NodeOutput(
            [
                image[:, y : y + tile_height, x : x + tile_width]
                for y in tile_starts(height, tile_height, overlap)
                for x in tile_starts(width, tile_width, overlap)
            ]
        )


class ImageMergeTileList(Node):
    """Merge the tiles of an image back together. Overlapping tiles fade into each other."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageMergeTileList",
            display_name="Merge List of Tiles to Image",
            category="image/batch",
            search_aliases=["stitch tiles", "merge tiles", "combine tiles"],
            is_input_list=True,
            inputs=[
                io.Image.Input("image_list"),
                io.Int.Input("final_width", default=1024, min=64, max=32768),
                io.Int.Input("final_height", default=1024, min=64, max=32768),
                io.Int.Input("overlap", default=128, min=0, max=4096),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        image_list: Sequence[torch.Tensor],
        final_width: Sequence[int],
        final_height: Sequence[int],
        overlap: Sequence[int],
    ) -> NodeOutput:
        first = image_list[0]
        batch, tile_height, tile_width, channels = first.shape
        check_size((batch, final_height[0], final_width[0], channels))
        corners = [
            (x, y)
            for y in tile_starts(final_height[0], tile_height, overlap[0])
            for x in tile_starts(final_width[0], tile_width, overlap[0])
        ]
        if len(image_list) < len(corners):
            raise ValueError(
                f"got {len(image_list)} tiles, but the image needs {len(corners)}: use the overlap of the split"
            )
        merged = first.new_zeros((batch, final_height[0], final_width[0], channels))
        weights = first.new_zeros((1, final_height[0], final_width[0], 1))
        for (x, y), tile in zip(corners, image_list, strict=False):
            height, width = merged[:, y : y + tile.shape[1], x : x + tile.shape[2]].shape[1:3]
            across = _fade(x, width, final_width[0], overlap[0]).to(first)
            weight = (_fade(y, height, final_height[0], overlap[0]).to(first)[:, None] * across)[None, ..., None]
            merged[:, y : y + height, x : x + width] += tile.to(first)[:, :height, :width] * weight
            weights[:, y : y + height, x : x + width] += weight
        return NodeOutput(merged / weights)


def tile_starts(length: int, tile: int, overlap: int) -> Iterator[int]:
    """The start of each tile along a side, from 0 to the last one, which reaches the border."""
    stride = max(1, round(max(tile * MIN_STRIDE, tile - overlap)))
    start = 0
    while start + tile < length:
        yield start
        start += stride
    yield max(0, length - tile)


def _fade(start: int, length: int, whole: int, overlap: int) -> torch.Tensor:
    """Weights along a tile: increasing over the overlap with the tile before, decreasing over that with the next."""
    at = torch.arange(1, length + 1, dtype=torch.float32)
    ramp = min(overlap, length) + 1
    weights = torch.ones(length)
    if start > 0:
        weights = torch.minimum(weights, at / ramp)
    if start + length < whole:
        weights = torch.minimum(weights, at.flip(0) / ramp)
    return weights
