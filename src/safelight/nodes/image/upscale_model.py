"""Nodes that enlarge images with a network."""

import torch

from safelight.models.upscale.upscaler import Upscaler, load_upscaler
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class UpscaleModelLoader(Node):
    """Load an upscaling model: ESRGAN, Real-ESRGAN or its compact variant."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="UpscaleModelLoader",
            display_name="Load Upscale Model",
            category="loaders",
            inputs=[io.Combo.Input("model_name", model_folder="upscale_models")],
            outputs=[io.UpscaleModel.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str) -> Identity:
        return identity_of(current().model_path("upscale_models", model_name))

    @classmethod
    def execute(cls, model_name: str) -> NodeOutput:
        return NodeOutput(load_upscaler(current().model_path("upscale_models", model_name)))


class ImageUpscaleWithModel(Node):
    """Enlarge images with an upscaling model, by the factor that it was trained for."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ImageUpscaleWithModel",
            display_name="Upscale Image (using Model)",
            category="image/upscaling",
            inputs=[io.UpscaleModel.Input("upscale_model"), io.Image.Input("image")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, upscale_model: Upscaler, image: torch.Tensor) -> NodeOutput:
        run, count = current(), len(image)
        enlarged = []
        for index, one in enumerate(torch.split(image, 1)):
            enlarged.append(upscale_model.enlarge(one))
            run.progress(index + 1, count)
        return NodeOutput(torch.cat(enlarged))
