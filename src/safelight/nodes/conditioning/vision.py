"""Nodes that condition on images."""

import torch

from safelight.core.errors import Invalid
from safelight.models.families.stable_diffusion.seen_images import UNCLIP, SeenImage
from safelight.models.vision.style import StyleModel
from safelight.models.vision.vision_encoder import VisionEncoder, VisionOutput
from safelight.nodes.conditioning.options import Conditioning
from safelight.sdk import Node, NodeOutput, Schema, io


class UnknownStrength(Invalid):
    """A kind of strength that no supported model has."""

    code = "unknown_strength"


class CLIPVisionEncode(Node):
    """Encode an image for a model that takes CLIP vision. "center" crops to the middle square, "none" squeezes the
    whole image into a square."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPVisionEncode",
            display_name="CLIP Vision Encode",
            category="conditioning",
            inputs=[
                io.ClipVision.Input("clip_vision"),
                io.Image.Input("image"),
                io.Combo.Input("crop", ["center", "none"]),
            ],
            outputs=[io.ClipVisionOutput.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, clip_vision: VisionEncoder, image: torch.Tensor, crop: str) -> NodeOutput:
        return NodeOutput(clip_vision.encode_image(image, crop=crop == "center"))


class StyleModelApply(Node):
    """Append the style of an image to a prompt, as tokens. "strength" scales these tokens."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StyleModelApply",
            display_name="Apply Style Model",
            category="conditioning/style_model",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.StyleModel.Input("style_model"),
                io.ClipVisionOutput.Input("clip_vision_output"),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.001),
                io.Combo.Input("strength_type", ["multiply", "attn_bias"]),
            ],
            outputs=[io.Conditioning.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(
        cls,
        conditioning: Conditioning,
        style_model: StyleModel,
        clip_vision_output: VisionOutput,
        strength: float,
        strength_type: str,
    ) -> NodeOutput:
        if strength_type == "attn_bias" and strength != 1.0:
            raise UnknownStrength("unsupported strength_type 'attn_bias': use 'multiply'")
        tokens = style_model.get_cond(clip_vision_output).flatten(0, 1)[None] * strength
        styled = [
            [torch.cat((embedding, tokens.expand(len(embedding), -1, -1)), dim=1), dict(options)]
            for embedding, options in conditioning
        ]
        return NodeOutput(styled)


class unCLIPConditioning(Node):  # noqa: N801
    """Condition a model on what CLIP sees in an image instead of on the summary of the prompt. Several in a row add
    up. "noise_augmentation" blurs the image's meaning."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="unCLIPConditioning",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.ClipVisionOutput.Input("clip_vision_output"),
                io.Float.Input("strength", default=1.0, min=-10.0, max=10.0, step=0.01),
                io.Float.Input("noise_augmentation", default=0.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls,
        conditioning: Conditioning,
        clip_vision_output: VisionOutput,
        strength: float,
        noise_augmentation: float,
    ) -> NodeOutput:
        if strength == 0:
            return NodeOutput(conditioning)
        seen = SeenImage(clip_vision_output["image_embeds"], strength, noise_augmentation)
        return NodeOutput(
            [[embedding, {**options, UNCLIP: [*options.get(UNCLIP, ()), seen]}] for embedding, options in conditioning]
        )
