"""Nodes that limit a conditioning to a part of the image or of the steps."""

import torch

from safelight.nodes.conditioning.options import Conditioning, with_options
from safelight.sdk import Node, NodeOutput, Schema, io


class ConditioningSetArea(Node):
    """Limit a conditioning to a rectangle of the image, in pixels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetArea",
            display_name="Conditioning (Set Area)",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Int.Input("width", default=64, min=64, max=16384, step=8),
                io.Int.Input("height", default=64, min=64, max=16384, step=8),
                io.Int.Input("x", default=0, min=0, max=16384, step=8),
                io.Int.Input("y", default=0, min=0, max=16384, step=8),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls, conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float
    ) -> NodeOutput:
        area = (height // 8, width // 8, y // 8, x // 8)  # latents are 1/8 of the image size
        return NodeOutput(_in_area(conditioning, area, strength))


class ConditioningSetAreaPercentage(Node):
    """Limit a conditioning to a rectangle of the image, given as fractions of its width and height (0 to 1)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetAreaPercentage",
            display_name="Conditioning (Set Area with Percentage)",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Float.Input("width", default=1.0, min=0, max=1.0, step=0.01),
                io.Float.Input("height", default=1.0, min=0, max=1.0, step=0.01),
                io.Float.Input("x", default=0, min=0, max=1.0, step=0.01),
                io.Float.Input("y", default=0, min=0, max=1.0, step=0.01),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls, conditioning: Conditioning, width: float, height: float, x: float, y: float, strength: float
    ) -> NodeOutput:
        return NodeOutput(_in_area(conditioning, ("percentage", height, width, y, x), strength))


class ConditioningSetAreaPercentageVideo(Node):
    """Limit a conditioning to a box of a video, given as fractions of its length ("temporal", "z"), width and
    height."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetAreaPercentageVideo",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Float.Input("width", default=1.0, min=0, max=1.0, step=0.01),
                io.Float.Input("height", default=1.0, min=0, max=1.0, step=0.01),
                io.Float.Input("temporal", default=1.0, min=0, max=1.0, step=0.01),
                io.Float.Input("x", default=0, min=0, max=1.0, step=0.01),
                io.Float.Input("y", default=0, min=0, max=1.0, step=0.01),
                io.Float.Input("z", default=0, min=0, max=1.0, step=0.01),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls,
        conditioning: Conditioning,
        width: float,
        height: float,
        temporal: float,
        x: float,
        y: float,
        z: float,
        strength: float,
    ) -> NodeOutput:
        return NodeOutput(_in_area(conditioning, ("percentage", temporal, height, width, z, y, x), strength))


class ConditioningSetAreaStrength(Node):
    """Set how strongly a conditioning acts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetAreaStrength",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, strength: float) -> NodeOutput:
        return NodeOutput(with_options(conditioning, {"strength": strength}))


class ConditioningSetMask(Node):
    """Limit a conditioning to a mask. With "mask bounds" the model sees only the rectangle around the mask."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetMask",
            display_name="Conditioning (Set Mask)",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Mask.Input("mask"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.01),
                io.Combo.Input("set_cond_area", ["default", "mask bounds"]),
            ],
            outputs=[io.Conditioning.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, mask: torch.Tensor, set_cond_area: str, strength: float) -> NodeOutput:
        return NodeOutput(in_mask(conditioning, mask, set_cond_area=set_cond_area, strength=strength))


class ConditioningSetTimestepRange(Node):
    """Limit a conditioning to a range of the steps: 0 is the start of denoising, 1 its end."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningSetTimestepRange",
            category="advanced/conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Float.Input("start", default=0.0, min=0.0, max=1.0, step=0.001),
                io.Float.Input("end", default=1.0, min=0.0, max=1.0, step=0.001),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, start: float, end: float) -> NodeOutput:
        return NodeOutput(in_steps(conditioning, (start, end)))


def in_mask(conditioning: Conditioning, mask: torch.Tensor, *, set_cond_area: str, strength: float) -> Conditioning:
    """``mask``: ``[B, H, W]`` or ``[H, W]`` in 0..1."""
    if mask.ndim < 3:
        mask = mask.unsqueeze(0)
    return with_options(
        conditioning,
        {"mask": mask, "set_area_to_bounds": set_cond_area != "default", "mask_strength": strength},
    )


def in_steps(conditioning: Conditioning, steps: tuple[float, float]) -> Conditioning:
    return with_options(conditioning, {"start_percent": steps[0], "end_percent": steps[1]})


def _in_area(conditioning: Conditioning, area: tuple[float | str, ...], strength: float) -> Conditioning:
    return with_options(conditioning, {"area": area, "strength": strength, "set_area_to_bounds": False})
