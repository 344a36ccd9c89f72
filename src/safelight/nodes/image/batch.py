"""Nodes that combine images into batches and take batches apart."""

from collections.abc import Mapping, Sequence

import torch

from safelight.nodes.image.resampling import resize, with_channels
from safelight.nodes.image.size_limit import check_size
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageBatch(Node):
    """Combine two images into one batch. The second is scaled to the size of the first and cropped to its aspect
    ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageBatch",
            display_name="Batch Images",
            category="image",
            is_deprecated=True,
            listed_combos=True,
            inputs=[io.Image.Input("image1"), io.Image.Input("image2")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image1: torch.Tensor, image2: torch.Tensor) -> NodeOutput:
        return NodeOutput(to_batch([image1, image2]))


class BatchImagesNode(Node):
    """Combine images into one batch. All are scaled to the size of the first and cropped to its aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="BatchImagesNode",
            display_name="Batch Images",
            category="image",
            inputs=[io.Autogrow.Input("images", io.Image.Input("image"), prefix="image", min=2, max=50)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, images: Mapping[str, torch.Tensor]) -> NodeOutput:
        return NodeOutput(to_batch(list(images.values())))


class RepeatImageBatch(Node):
    """Repeat a batch of images."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RepeatImageBatch",
            category="image/batch",
            inputs=[io.Image.Input("image"), io.Int.Input("amount", default=1, min=1, max=4096)],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, amount: int) -> NodeOutput:
        check_size((amount, *image.shape))
        return NodeOutput(image.repeat(amount, 1, 1, 1))


class ImageFromBatch(Node):
    """Take up to "length" images out of a batch, starting at "batch_index"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageFromBatch",
            category="image/batch",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("batch_index", default=0, min=0, max=4095),
                io.Int.Input("length", default=1, min=1, max=4096),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, batch_index: int, length: int) -> NodeOutput:
        first = min(batch_index, len(image) - 1)
        return NodeOutput(image[first : first + length].clone())


class RebatchImages(Node):
    """Regroup batches of images into batches of another size."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="RebatchImages",
            display_name="Rebatch Images",
            category="image/batch",
            is_input_list=True,
            inputs=[io.Image.Input("images"), io.Int.Input("batch_size", default=1, min=1, max=4096)],
            outputs=[io.Image.Output(is_list=True)],
        )

    @classmethod
    def execute(cls, images: Sequence[torch.Tensor], batch_size: Sequence[int]) -> NodeOutput:
        single = [image.unsqueeze(0) for batch in images for image in batch]
        starts = range(0, len(single), batch_size[0])
        return NodeOutput([torch.cat(single[start : start + batch_size[0]]) for start in starts])


def to_batch(images: Sequence[torch.Tensor]) -> torch.Tensor:
    """One batch in the size of the first image, with alpha if any image has it."""
    channels = max(image.shape[-1] for image in images)
    height, width = images[0].shape[1:3]
    alike = []
    for image in images:
        image = with_channels(image, channels)
        if image.shape[1:3] != (height, width):
            image = resize(image, width, height, method="bilinear", crop="center")
        alike.append(image)
    return torch.cat(alike)
