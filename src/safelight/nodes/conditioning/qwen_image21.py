"""Nodes of Qwen-Image 2.1: prompts with reference pictures, and what is kept between steps."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from safelight.core.errors import Invalid
from safelight.models.autoencoder.image_autoencoder import ImageAutoencoder
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.qwen_image21.conditioning import QwenImage21Conditioning
from safelight.models.families.qwen_image21.latent import QWEN_IMAGE21_LATENT
from safelight.models.families.qwen_image21.prefix_cache import CacheSettings
from safelight.models.families.qwen_image21.text import pictures
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.nodes.conditioning.options import with_appended
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io

MOST_PICTURES = 16
MULTIPLE = 32
"""Sides of references are multiples of so many pixels: those of one token of the text encoder."""
_DEFAULT_SIDE = 1024


class NotQwenImage21(Invalid):
    """The node works only with Qwen-Image 2.1."""

    code = "not_qwen_image_21"


class TextEncodeQwenImage21(Node):
    """Encode a prompt and a negative prompt for Qwen-Image 2.1, with up to 16 reference pictures. The text encoder sees
    the pictures; with a VAE, the model also gets them as latents. Sample at the size of the latent that comes out."""

    @classmethod
    def define_schema(cls) -> Schema:
        names = [f"image_{number}" for number in range(1, MOST_PICTURES + 1)]
        return Schema(
            node_id="TextEncodeQwenImage21",
            category="advanced/conditioning",
            inputs=[
                io.Clip.Input("clip"),
                io.String.Input("prompt", multiline=True, dynamic_prompts=True),
                io.String.Input("negative_prompt", multiline=True, dynamic_prompts=True, default=""),
                io.Vae.Input("vae", optional=True),
                io.Int.Input(
                    "resolution",
                    default=_DEFAULT_SIDE,
                    min=0,
                    max=4096,
                    step=MULTIPLE,
                    tooltip="References are resized to about this side, squared; 0 keeps their own sizes.",
                ),
                io.Autogrow.Input("images", io.Image.Input("image"), names=names, min=0),
            ],
            outputs=[
                io.Conditioning.Output("positive"),
                io.Conditioning.Output("negative"),
                io.Latent.Output("latent"),
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: TextEncoder,
        prompt: str,
        negative_prompt: str = "",
        resolution: int = _DEFAULT_SIDE,
        images: Mapping[str, torch.Tensor] | None = None,
        vae: ImageAutoencoder | None = None,
    ) -> NodeOutput:
        encoder = require_text_encoder(clip)
        given = [_resized(image[:1], resolution) for image in (images or {}).values() if image is not None]
        references = [] if vae is None else [vae.encode(image) for image in given]
        seen = [_over_white(image) for image in given]
        encoded = []
        for text in (prompt, negative_prompt):
            tokens = encoder.tokenize(pictures(len(seen)) + text, images=seen, prevent_empty_text=True)
            conditioning = encoder.encode_from_tokens_scheduled(tokens)
            for reference in references:
                conditioning = with_appended(conditioning, "reference_latents", reference)
            encoded.append(conditioning)
        height, width = given[0].shape[1:3] if given else (resolution or _DEFAULT_SIDE,) * 2
        scale = QWEN_IMAGE21_LATENT.downscale
        empty = zeros(1, QWEN_IMAGE21_LATENT.channels, height // scale, width // scale)
        return NodeOutput(*encoded, {"samples": empty})


def _resized(image: torch.Tensor, side: int) -> torch.Tensor:
    """``[1, H, W, C]`` with about ``side`` squared pixels, or its own number for 0, and sides in whole tokens."""
    height, width = image.shape[1:3]
    factor = math.sqrt(side * side / (height * width)) if side else 1.0
    size = [max(round(one * factor / MULTIPLE), 1) * MULTIPLE for one in (height, width)]
    if size == [height, width]:
        return image
    planes = functional.interpolate(image.movedim(-1, 1), size=size, mode="bicubic", antialias=True)
    return planes.clamp(0, 1).movedim(1, -1)


def _over_white(image: torch.Tensor) -> torch.Tensor:
    """Without transparency, as the text encoder was trained."""
    if image.shape[-1] < 4:
        return image
    alpha = image[..., 3:]
    return image[..., :3] * alpha + (1 - alpha)


class QwenImage21Cache(Node):
    """Choose how Qwen-Image 2.1 keeps the keys and values of text and references between steps, which saves most of the
    time of an edit: where, rounded to how many bits, or not at all."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="QwenImage21Cache",
            category="advanced/model",
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "device",
                    ("auto", "gpu", "cpu", "off"),
                    default="auto",
                    tooltip='Where it is kept; "off" computes it at every step.',
                ),
                io.Combo.Input("dtype", ("default", "int8", "int4"), default="default"),
            ],
            outputs=[io.Model.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, model: DiffusionModel, device: Any, dtype: Any) -> NodeOutput:
        network = model.network
        if not isinstance(network, StoredNetwork) or not isinstance(network.conditioning, QwenImage21Conditioning):
            raise NotQwenImage21(f"QwenImage21Cache works only with Qwen-Image 2.1, but the model is {model.family!r}")
        conditioning = replace(network.conditioning, cache=CacheSettings(device, dtype))
        return NodeOutput(model.with_(network=replace(network, conditioning=conditioning)))
