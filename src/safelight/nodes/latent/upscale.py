"""Nodes that scale the width and height of a latent."""

from safelight.nodes.latent.samples import Latent, resize_samples, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io


class LatentUpscale(Node):
    """Scale a latent to the width and height of an image, in pixels. If one of them is 0, it follows from the other and
    the aspect ratio; if both are 0, the latent stays as it is. "center" crops to the new aspect ratio."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentUpscale",
            display_name="Upscale Latent",
            category="latent",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("upscale_method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]),
                io.Int.Input("width", default=512, min=0, max=16384, step=8),
                io.Int.Input("height", default=512, min=0, max=16384, step=8),
                io.Combo.Input("crop", ["disabled", "center"]),
            ],
            outputs=[io.Latent.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> NodeOutput:
        if width == 0 and height == 0:
            return NodeOutput(samples)
        old = samples["samples"]
        if width == 0:
            height = max(64, height)
            width = max(64, round(old.shape[-1] * height / old.shape[-2]))
        elif height == 0:
            width = max(64, width)
            height = max(64, round(old.shape[-2] * width / old.shape[-1]))
        else:
            width, height = max(64, width), max(64, height)
        scaled = resize_samples(old, width // 8, height // 8, method=upscale_method, crop=crop)
        return NodeOutput(with_samples(samples, scaled))


class LatentUpscaleBy(Node):
    """Scale the width and height of a latent by a factor."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentUpscaleBy",
            display_name="Upscale Latent By",
            category="latent",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("upscale_method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]),
                io.Float.Input("scale_by", default=1.5, min=0.01, max=8.0, step=0.01),
            ],
            outputs=[io.Latent.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, samples: Latent, upscale_method: str, scale_by: float) -> NodeOutput:
        old = samples["samples"]
        width, height = round(old.shape[-1] * scale_by), round(old.shape[-2] * scale_by)
        scaled = resize_samples(old, width, height, method=upscale_method, crop="disabled")
        return NodeOutput(with_samples(samples, scaled))
