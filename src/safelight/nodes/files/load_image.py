"""Nodes that load images that the user uploaded, or that an earlier job made."""

import torch

from safelight.media.image import decode_image
from safelight.nodes.files.input_file import check_input_file, content_digest, input_file
from safelight.nodes.files.pixels import image_tensor, mask_tensor
from safelight.sdk import Node, NodeOutput, Schema, io

_CHANNELS = ("alpha", "red", "green", "blue")


class LoadImage(Node):
    """Load an image. The mask is 1 where the image is transparent; an image without transparency has an empty mask.

    An animated image becomes a batch of its frames."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadImage",
            display_name="Load Image",
            category="image",
            essentials_category="Basics",
            search_aliases=["upload", "open image", "photo", "picture"],
            listed_combos=True,
            inputs=[io.Combo.Input("image", upload="image")],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        return check_input_file(image, kind="image")

    @classmethod
    def fingerprint_inputs(cls, image: str) -> str:
        return content_digest(image)

    @classmethod
    def execute(cls, image: str) -> NodeOutput:
        with input_file(image) as path:
            picture = decode_image(path)
        return NodeOutput(image_tensor(picture), mask_tensor(picture))


class LoadImageMask(Node):
    """Load one channel of an image as a mask. For "alpha", transparent pixels become 1."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LoadImageMask",
            display_name="Load Image (as Mask)",
            category="mask",
            search_aliases=["import mask", "alpha mask"],
            listed_combos=True,
            inputs=[io.Combo.Input("image", upload="image"), io.Combo.Input("channel", _CHANNELS)],
            outputs=[io.Mask.Output()],
        )

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        return check_input_file(image, kind="image")

    @classmethod
    def fingerprint_inputs(cls, image: str, channel: str) -> str:
        return f"{channel}:{content_digest(image)}"

    @classmethod
    def execute(cls, image: str, channel: str) -> NodeOutput:
        with input_file(image) as path:
            picture = decode_image(path)
        if channel != "alpha":
            plane = picture.frames[:1, :, :, _CHANNELS.index(channel) - 1]
            return NodeOutput(torch.from_numpy(plane.copy()))
        if picture.alpha is None:
            return NodeOutput(torch.zeros(picture.frames[:1].shape[:3]))
        return NodeOutput(torch.from_numpy(1.0 - picture.alpha[:1]))


class LoadImageOutput(LoadImage):
    """Load an image that an earlier job made. The refresh button updates the list and picks the latest."""

    @classmethod
    def define_schema(cls) -> Schema:
        listing = {"route": "/internal/files/output", "refresh_button": True, "control_after_refresh": "first"}
        return Schema(
            node_id="LoadImageOutput",
            display_name="Load Image (from Outputs)",
            category="image",
            search_aliases=["output image", "previous generation"],
            is_experimental=True,
            inputs=[io.Combo.Input("image", upload="image", upload_folder="output", remote=listing)],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )
