"""Nodes that load image encoders and style models."""

from safelight.models.vision.style import load_style_model
from safelight.models.vision.vision_encoder import load_vision_encoder
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class CLIPVisionLoader(Node):
    """Load an image encoder: CLIP or SigLIP."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPVisionLoader",
            display_name="Load CLIP Vision",
            category="loaders",
            inputs=[io.Combo.Input("clip_name", model_folder="clip_vision")],
            outputs=[io.ClipVision.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, clip_name: str) -> Identity:
        return identity_of(current().model_path("clip_vision", clip_name))

    @classmethod
    def execute(cls, clip_name: str) -> NodeOutput:
        return NodeOutput(load_vision_encoder(current().model_path("clip_vision", clip_name)))


class StyleModelLoader(Node):
    """Load a model that turns the style of an image into tokens: T2I's style adapter, or Redux."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StyleModelLoader",
            display_name="Load Style Model",
            category="loaders",
            inputs=[io.Combo.Input("style_model_name", model_folder="style_models")],
            outputs=[io.StyleModel.Output()],
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, style_model_name: str) -> Identity:
        return identity_of(current().model_path("style_models", style_model_name))

    @classmethod
    def execute(cls, style_model_name: str) -> NodeOutput:
        return NodeOutput(load_style_model(current().model_path("style_models", style_model_name)))
