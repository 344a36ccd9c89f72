"""Nodes that work on a list of images: deduplicating, shuffling, merging, a grid, buckets of one size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from safelight.nodes.dataset.random_state import random_state
from safelight.nodes.image.resampling import from_pil, to_pil
from safelight.sdk import Node, NodeOutput, Schema, io


def _schema(node_id: str, display_name: str, *inputs: io.Input, returns_list: bool = True) -> Schema:
    return Schema(
        node_id=node_id,
        display_name=display_name,
        category="dataset/image",
        is_experimental=True,
        is_input_list=True,
        inputs=[io.Image.Input("images"), *inputs],
        outputs=[io.Image.Output(display_name="images", is_list=returns_list)],
    )


class MergeImageLists(Node):
    """Merge lists of images into one."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("MergeImageLists", "Merge Image Lists")

    @classmethod
    def execute(cls, images: Sequence[torch.Tensor]) -> NodeOutput:
        return NodeOutput(list(images))


class ShuffleDataset(Node):
    """Shuffle images into a random order."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("ShuffleDataset", "Shuffle Image Dataset", _seed())

    @classmethod
    def execute(cls, images: Sequence[torch.Tensor], seed: Sequence[int]) -> NodeOutput:
        order = random_state(seed[0]).permutation(len(images))
        return NodeOutput([images[i] for i in order])


class ShuffleImageTextDataset(Node):
    """Shuffle images and their texts into the same random order."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ShuffleImageTextDataset",
            display_name="Shuffle Image-Text Dataset",
            category="dataset/image",
            is_experimental=True,
            is_input_list=True,
            inputs=[io.Image.Input("images"), io.String.Input("texts"), _seed()],
            outputs=[
                io.Image.Output(display_name="images", is_list=True),
                io.String.Output(display_name="texts", is_list=True),
            ],
        )

    @classmethod
    def execute(cls, images: Sequence[torch.Tensor], texts: Sequence[str], seed: Sequence[int]) -> NodeOutput:
        if len(images) != len(texts):
            raise ValueError(f"got {len(images)} images but {len(texts)} texts; connect one text for each image")
        order = random_state(seed[0]).permutation(len(images))
        return NodeOutput([images[i] for i in order], [texts[i] for i in order])


class ImageDeduplication(Node):
    """Drop images that look like an earlier one. Two images are compared by their 8 x 8 thumbnails: the similarity is
    the share of pixels that are both lighter, or both darker, than the mean of their image."""

    @classmethod
    def define_schema(cls) -> Schema:
        threshold = io.Float.Input("similarity_threshold", default=0.95, min=0.0, max=1.0)
        return _schema("ImageDeduplication", "Image Deduplication", threshold)

    @classmethod
    def execute(cls, images: Sequence[torch.Tensor], similarity_threshold: Sequence[float]) -> NodeOutput:
        kept: list[torch.Tensor] = []
        hashes: list[np.ndarray[Any, Any]] = []
        for image in images:
            average_hash = _average_hash(image)
            if all((average_hash == other).mean() < similarity_threshold[0] for other in hashes):
                kept.append(image)
                hashes.append(average_hash)
        return NodeOutput(kept)


def _average_hash(image: torch.Tensor) -> np.ndarray[Any, Any]:
    small = to_pil(image[0]).resize((8, 8), Image.Resampling.LANCZOS).convert("L")
    pixels = np.asarray(small)
    lighter: np.ndarray[Any, Any] = pixels > pixels.mean()
    return lighter


class ImageGrid(Node):
    """Lay out images in a grid on black, each scaled to the size of a cell."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema(
            "ImageGrid",
            "Image Grid",
            io.Int.Input("columns", default=4, min=1, max=20),
            io.Int.Input("cell_width", default=256, min=32, max=2048),
            io.Int.Input("cell_height", default=256, min=32, max=2048),
            io.Int.Input("padding", default=4, min=0, max=50),
            returns_list=False,
        )

    @classmethod
    def execute(
        cls,
        images: Sequence[torch.Tensor],
        columns: Sequence[int],
        cell_width: Sequence[int],
        cell_height: Sequence[int],
        padding: Sequence[int],
    ) -> NodeOutput:
        (across,), (width,), (height,), (gap,) = columns, cell_width, cell_height, padding
        single = [image for batch in images for image in batch]
        rows = -(-len(single) // across)
        grid = Image.new("RGB", (across * (width + gap) - gap, rows * (height + gap) - gap))
        for i, image in enumerate(single):
            row, column = divmod(i, across)
            cell = to_pil(image).resize((width, height), Image.Resampling.LANCZOS)
            grid.paste(cell, (column * (width + gap), row * (height + gap)))
        return NodeOutput(from_pil(grid).unsqueeze(0))


class ResolutionBucket(Node):
    """Group latents of the same width and height with their conditioning, so that each group can be trained as a
    batch."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ResolutionBucket",
            display_name="Resolution Bucket",
            category="dataset",
            is_experimental=True,
            is_input_list=True,
            inputs=[io.Latent.Input("latents"), io.Conditioning.Input("conditioning")],
            outputs=[
                io.Latent.Output(display_name="latents", is_list=True),
                io.Conditioning.Output(display_name="conditioning", is_list=True),
            ],
        )

    @classmethod
    def execute(cls, latents: Sequence[dict[str, Any]], conditioning: Sequence[list[Any]]) -> NodeOutput:
        if len(latents) != len(conditioning):
            raise ValueError(
                f"got {len(latents)} latents but {len(conditioning)} conditionings; connect one for each latent"
            )
        samples: dict[tuple[int, ...], list[torch.Tensor]] = {}
        conditions: dict[tuple[int, ...], list[Any]] = {}
        for latent, conds in zip(latents, conditioning, strict=True):
            size = tuple(latent["samples"].shape[-2:])
            batch = latent["samples"]
            if len(conds) < len(batch):
                raise ValueError(
                    f"a latent with {len(batch)} items has {len(conds)} conditionings; it needs one for each"
                )
            samples.setdefault(size, []).append(batch)
            conditions.setdefault(size, []).extend(conds[: len(batch)])
        return NodeOutput([{"samples": torch.cat(batches)} for batches in samples.values()], list(conditions.values()))


def _seed() -> io.Input:
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF)
