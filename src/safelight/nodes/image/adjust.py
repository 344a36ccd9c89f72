"""Nodes that change images pixel by pixel: inverting, noise, blending, YUV."""

from collections.abc import Callable

import torch

from safelight.nodes.image.resampling import resize, with_channels
from safelight.sdk import Node, NodeOutput, Schema, io


class ImageInvert(Node):
    """Invert an image's colors."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageInvert",
            display_name="Invert Image",
            category="image",
            listed_combos=True,
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        return NodeOutput(1.0 - image)


class ImageAddNoise(Node):
    """Add Gaussian noise to an image."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageAddNoise",
            category="image",
            inputs=[
                io.Image.Input("image"),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True),
                io.Float.Input("strength", default=0.5, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, seed: int, strength: float) -> NodeOutput:
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn(image.shape, generator=generator).to(image)
        return NodeOutput((image + strength * noise).clamp(0.0, 1.0))


Blend = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class ImageBlend(Node):
    """Blend a second image over the first. The second is scaled to the size of the first and cropped to its aspect
    ratio."""

    MODES: dict[str, Blend] = {  # noqa: RUF012
        "normal": lambda base, top: top,
        "multiply": lambda base, top: base * top,
        "screen": lambda base, top: 1 - (1 - base) * (1 - top),
        "overlay": lambda base, top: torch.where(base <= 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top)),
        "soft_light": lambda base, top: _soft_light(base, top),
        "difference": lambda base, top: base - top,
    }

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageBlend",
            category="image/postprocessing",
            inputs=[
                io.Image.Input("image1"),
                io.Image.Input("image2"),
                io.Float.Input("blend_factor", default=0.5, min=0.0, max=1.0, step=0.01),
                io.Combo.Input("blend_mode", list(cls.MODES)),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image1: torch.Tensor, image2: torch.Tensor, blend_factor: float, blend_mode: str) -> NodeOutput:
        if blend_mode not in cls.MODES:
            raise ValueError(f"unknown blend_mode {blend_mode!r}: choose one of {', '.join(cls.MODES)}")
        channels = image1.shape[-1]
        image2 = with_channels(image2.to(image1.device), channels)[..., :channels]
        if image1.shape[1:3] != image2.shape[1:3]:
            image2 = resize(image2, image1.shape[2], image1.shape[1], method="bicubic", crop="center")
        blended = cls.MODES[blend_mode](image1, image2)
        return NodeOutput((image1 * (1 - blend_factor) + blended * blend_factor).clamp(0, 1))


def _soft_light(base: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
    """The W3C's soft light (https://www.w3.org/TR/compositing-1/#blendingsoftlight)."""
    curve = torch.where(base <= 0.25, ((16 * base - 12) * base + 4) * base, base.sqrt())
    darker = base - (1 - 2 * top) * base * (1 - base)
    lighter = base + (2 * top - 1) * (curve - base)
    return torch.where(top <= 0.5, darker, lighter)


class ImageRGBToYUV(Node):
    """Split an image into luma (Y) and the two chroma planes (U, V) of full-range BT.601, each as a gray image."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageRGBToYUV",
            category="image/batch",
            inputs=[io.Image.Input("image")],
            outputs=[io.Image.Output("Y"), io.Image.Output("U"), io.Image.Output("V")],
        )

    @classmethod
    def execute(cls, image: torch.Tensor) -> NodeOutput:
        red, green, blue = image[..., :3].unbind(-1)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        planes = luma, (blue - luma) * 0.564 + 0.5, (red - luma) * 0.713 + 0.5
        return NodeOutput(*(plane.unsqueeze(-1).expand(*plane.shape, 3) for plane in planes))


class ImageYUVToRGB(Node):
    """Combine luma (Y) and the two chroma planes (U, V) of full-range BT.601 into an image."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageYUVToRGB",
            category="image/batch",
            inputs=[io.Image.Input("Y"), io.Image.Input("U"), io.Image.Input("V")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, Y: torch.Tensor, U: torch.Tensor, V: torch.Tensor) -> NodeOutput:  # noqa: N803
        luma = Y.mean(dim=-1)
        blueness, redness = U.mean(dim=-1) - 0.5, V.mean(dim=-1) - 0.5
        red = luma + redness * (1 / 0.713)
        green = luma - (0.299 / 0.587 / 0.713) * redness - (0.114 / 0.587 / 0.564) * blueness
        blue = luma + blueness * (1 / 0.564)
        return NodeOutput(torch.stack([red, green, blue], dim=-1).clamp(0, 1))
