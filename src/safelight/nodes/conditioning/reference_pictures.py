"""The node that shows editing models several pictures."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from safelight.nodes.conditioning.options import Conditioning, with_appended
from safelight.nodes.image.resampling import resize
from safelight.nodes.latent.autoencoder import require_autoencoder
from safelight.nodes.latent.samples import DOWNSCALE, Latent
from safelight.nodes.latent.zeros import zeros
from safelight.sdk import Node, NodeOutput, Schema, io

MOST = 100
_PIXELS = 1024 * 1024
"""Of a megapixel, as nodes count."""
_MULTIPLE = 16


class ReferenceMultiLatent(Node):
    """Encode pictures and give them to an editing model as references, in their order. The latent that comes out is
    empty and has the size of the first."""

    @classmethod
    def define_schema(cls) -> Schema:
        megapixels = io.Float.Input("megapixels", default=1.0, min=0.01, max=16.0, step=0.01)
        choices = [io.Option("keep resolution"), io.Option("resize", [megapixels])]
        return Schema(
            node_id="ReferenceMultiLatent",
            display_name="Set Reference Multi Latent",
            category="advanced/conditioning/edit_models",
            inputs=[
                io.Conditioning.Input("positive"),
                io.Conditioning.Input("negative", optional=True),
                io.Vae.Input("vae", optional=True),
                io.DynamicCombo.Input("resolution", choices),
                io.Autogrow.Input("images", io.Image.Input("image"), prefix="image", min=0, max=MOST),
            ],
            outputs=[
                io.Conditioning.Output("positive"),
                io.Conditioning.Output("negative"),
                io.Latent.Output("empty_latent"),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        resolution: Mapping[str, Any],
        negative: Conditioning | None = None,
        vae: Any = None,
        images: Mapping[str, torch.Tensor] | None = None,
    ) -> NodeOutput:
        pixels = resolution["megapixels"] * _PIXELS if resolution["resolution"] == "resize" else None
        given = [image for image in (images or {}).values() if image is not None] if vae is not None else []
        latents = [require_autoencoder(vae).encode(_scaled(image, pixels)) for image in given]
        for latent in latents:
            positive = with_appended(positive, "reference_latents", latent)
            negative = None if negative is None else with_appended(negative, "reference_latents", latent)
        if latents:
            empty: Latent = {"samples": torch.zeros_like(latents[0])}
        else:
            side = round(math.sqrt(pixels or _PIXELS) / _MULTIPLE)
            empty = {"samples": zeros(1, 128, side, side), DOWNSCALE: _MULTIPLE}
        return NodeOutput(positive, positive if negative is None else negative, empty)


def _scaled(image: torch.Tensor, pixels: float | None) -> torch.Tensor:
    height, width = image.shape[1:3]
    if pixels is None:
        return image
    factor = math.sqrt(pixels / (height * width))
    sides = [max(round(side * factor / _MULTIPLE), 1) * _MULTIPLE for side in (width, height)]
    return image if sides == [width, height] else resize(image, *sides, method="lanczos")
