"""Nodes that show images: they are written to the temp folder and deleted later."""

import random
import string
from collections.abc import Sequence

import torch

from safelight.media.metadata import Metadata
from safelight.nodes.files.pixels import Images
from safelight.nodes.files.save_image import save_pictures
from safelight.sdk import Node, NodeOutput, OutputFile, Schema, current, io, ui

_random = random.SystemRandom()  # the global generator is seeded by nodes


def temp_prefix() -> str:
    """A random file name prefix for a preview."""
    return "ComfyUI_temp_" + "".join(_random.choices(string.ascii_lowercase, k=5))


def show_pictures(images: Images, *, metadata: Metadata) -> Sequence[OutputFile]:
    """Save ``[B, H, W, C]`` as previews, compressed for speed rather than size."""
    return save_pictures(images, prefix=temp_prefix(), folder="temp", compress_level=1, metadata=metadata)


class PreviewImage(Node):
    """Show images on the node. They are kept for a while, but not saved among your outputs."""

    reads_in_pieces = frozenset({"images"})

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PreviewImage",
            display_name="Preview Image",
            category="image",
            essentials_category="Basics",
            search_aliases=["show image", "view"],
            listed_combos=True,
            is_output_node=True,
            inputs=[io.Image.Input("images")],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, images: Images) -> NodeOutput:
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=ui.Images(show_pictures(images, metadata=metadata)))


class MaskPreview(Node):
    """Show masks on the node: white is 1, black is 0."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MaskPreview",
            display_name="Preview Mask",
            category="mask",
            search_aliases=["show mask", "view mask"],
            is_output_node=True,
            inputs=[io.Mask.Input("mask")],
            hidden=["PROMPT", "EXTRA_PNGINFO"],
        )

    @classmethod
    def execute(cls, mask: torch.Tensor) -> NodeOutput:
        images = mask.reshape(-1, *mask.shape[-2:], 1).expand(-1, -1, -1, 3)
        metadata = Metadata(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        return NodeOutput(ui=ui.Images(show_pictures(images, metadata=metadata)))


class ImageCompare(Node):
    """Compare two images with a slider, one before and one after."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageCompare",
            display_name="Image Compare",
            category="image",
            essentials_category="Image Tools",
            search_aliases=["before after", "compare slider", "difference"],
            is_experimental=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("image_a", optional=True),
                io.Image.Input("image_b", optional=True),
                # Clients draw the slider for this type; some do not send its empty value with the prompt.
                io.Custom("IMAGECOMPARE").Input("compare_view", optional=True),
            ],
        )

    @classmethod
    def execute(
        cls, image_a: torch.Tensor | None = None, image_b: torch.Tensor | None = None, compare_view: object = None
    ) -> NodeOutput:
        shown: dict[str, list[dict[str, str]]] = {"a_images": [], "b_images": []}
        for side, images in (("a", image_a), ("b", image_b)):
            if images is not None:
                current().raise_if_cancelled()
                files = save_pictures(
                    images, prefix=f"comfy.compare.{side}", folder="temp", compress_level=1, metadata=Metadata()
                )
                shown[f"{side}_images"] = [f.as_dict() for f in files]
        return NodeOutput(ui=shown)
