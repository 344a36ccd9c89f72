"""Nodes that encode prompts for one family: with pictures for Qwen-Image's editors, with instructions for Lumina; and
the options of T5's tokenizer.
"""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch.nn import functional

from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.families.qwen_image.text import EDIT_TEMPLATE, PICTURE
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.nodes.conditioning.options import with_appended
from safelight.sdk import Node, NodeOutput, Schema, io

SEEN_PIXELS = 384 * 384
"""The size at which the text encoder sees each of several pictures."""
REFERENCE_PIXELS = 1024 * 1024
"""The size at which the network sees a picture."""
_LATENT_PIXELS = 8


class TextEncodeQwenImageEdit(Node):
    """Encode a prompt about a picture for Qwen-Image Edit. With a VAE, the picture also guides the model directly."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TextEncodeQwenImageEdit",
            category="advanced/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                io.Vae.Input("vae", optional=True),
                io.Image.Input("image", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        prompt: str,
        vae: ImageAutoencoder | None = None,
        image: torch.Tensor | None = None,
    ) -> NodeOutput:
        encoder = require_text_encoder(clip)
        images = [] if image is None else [scaled(image, REFERENCE_PIXELS)[..., :3]]
        conditioning = encoder.encode_from_tokens_scheduled(encoder.tokenize(prompt, images=images))
        if images and vae is not None:
            conditioning = with_appended(conditioning, "reference_latents", vae.encode(images[0]))
        return NodeOutput(conditioning)


class TextEncodeQwenImageEditPlus(Node):
    """Encode a prompt about up to three pictures for Qwen-Image Edit 2509 and later. The prompt can call them "Picture
    1" and so on. With a VAE, the pictures also guide the model directly."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TextEncodeQwenImageEditPlus",
            category="advanced/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                io.Vae.Input("vae", optional=True),
                io.Image.Input("image1", optional=True),
                io.Image.Input("image2", optional=True),
                io.Image.Input("image3", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        prompt: str,
        vae: ImageAutoencoder | None = None,
        image1: torch.Tensor | None = None,
        image2: torch.Tensor | None = None,
        image3: torch.Tensor | None = None,
    ) -> NodeOutput:
        encoder = require_text_encoder(clip)
        given = [(number, image) for number, image in enumerate((image1, image2, image3), 1) if image is not None]
        named = "".join(f"Picture {number}: {PICTURE}" for number, _ in given)
        tokens = encoder.tokenize(
            named + prompt,
            images=[scaled(image, SEEN_PIXELS) for _, image in given],
            llama_template=EDIT_TEMPLATE,
        )
        conditioning = encoder.encode_from_tokens_scheduled(tokens)
        for _, image in given if vae is not None else ():
            assert vae is not None
            reference = scaled(image, REFERENCE_PIXELS, multiple=_LATENT_PIXELS)[..., :3]
            conditioning = with_appended(conditioning, "reference_latents", vae.encode(reference))
        return NodeOutput(conditioning)


def scaled(image: torch.Tensor, pixels: int, *, multiple: int = 1) -> torch.Tensor:
    """``image [B, H, W, C]`` at about so many pixels, with sides that are multiples of ``multiple``."""
    height, width = image.shape[1:3]
    factor = math.sqrt(pixels / (height * width))
    size = [round(side * factor / multiple) * multiple for side in (height, width)]
    return functional.interpolate(image.movedim(-1, 1), size=size, mode="area").movedim(1, -1)


class CLIPTextEncodeLumina2(Node):
    """Encode a prompt for Lumina Image 2, after one of the instructions that it was trained with."""

    INSTRUCTIONS: ClassVar[Mapping[str, str]] = {
        "superior": "You are an assistant designed to generate superior images with the superior degree of image-text "
        "alignment based on textual prompts or user prompts.",
        "alignment": "You are an assistant designed to generate high-quality images with the highest degree of "
        "image-text alignment based on textual prompts.",
    }

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPTextEncodeLumina2",
            display_name="CLIP Text Encode for Lumina2",
            category="conditioning",
            inputs=[
                io.Combo.Input("system_prompt", tuple(cls.INSTRUCTIONS), tooltip="The instruction before the prompt."),
                io.String.Input("user_prompt", multiline=True, dynamic_prompts=True, tooltip="The text to encode."),
                io.Clip.Input("clip", tooltip="The text encoder."),
            ],
            outputs=[io.Conditioning.Output(tooltip="The encoded text, which guides the model.")],
        )

    @classmethod
    def execute(cls, system_prompt: str, user_prompt: str, clip: TextEncoder) -> NodeOutput:
        encoder = require_text_encoder(clip)
        prompt = f"{cls.INSTRUCTIONS[system_prompt]} <Prompt Start> {user_prompt}"
        return NodeOutput(encoder.encode_from_tokens_scheduled(encoder.tokenize(prompt)))


class T5TokenizerOptions(Node):
    """Set how far T5 and UMT5 fill up prompts: to a length, and with at least so many tokens."""

    KINDS: ClassVar[Iterable[str]] = ("t5xxl", "pile_t5xl", "t5base", "mt5xl", "umt5xxl")

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="T5TokenizerOptions",
            category="_for_testing/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.Int.Input("min_padding", default=0, min=0, max=10000, step=1),
                io.Int.Input("min_length", default=0, min=0, max=10000, step=1),
            ],
            outputs=[io.Clip.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, clip: TextEncoder, min_padding: int, min_length: int) -> NodeOutput:
        lengths = {f"{kind}_min_padding": min_padding for kind in cls.KINDS}
        lengths |= {f"{kind}_min_length": min_length for kind in cls.KINDS}
        return NodeOutput(require_text_encoder(clip).with_tokenizer_options(lengths))
