"""Frames between frames."""

from itertools import pairwise

import torch

from safelight.models.frames.interpolator import FrameInterpolator, load_frame_interpolator
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current

FOLDER = "frame_interpolation"
_Model = io.Custom("INTERP_MODEL")


class FrameInterpolationModelLoader(Node):
    """Load a network that makes frames between frames: FILM."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FrameInterpolationModelLoader",
            display_name="Load Frame Interpolation Model",
            category="loaders",
            inputs=[io.Combo.Input("model_name", model_folder=FOLDER)],
            outputs=[_Model.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str) -> Identity:
        return identity_of(current().model_path(FOLDER, model_name))

    @classmethod
    def execute(cls, model_name: str) -> NodeOutput:
        return NodeOutput(load_frame_interpolator(current().model_path(FOLDER, model_name)))


class FrameInterpolate(Node):
    """Make frames between each two, so that there are "multiplier" times as many."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FrameInterpolate",
            display_name="Run Frame Interpolation Model",
            category="image/video",
            inputs=[
                _Model.Input("interp_model"),
                io.Image.Input("images"),
                io.Int.Input("multiplier", default=2, min=2, max=16),
            ],
            outputs=[io.Image.Output()],
            search_aliases=["film", "frame interpolation", "slow motion", "interpolate frames"],
        )

    @classmethod
    def execute(cls, interp_model: FrameInterpolator, images: torch.Tensor, multiplier: int) -> NodeOutput:
        if len(images) < 2:
            return NodeOutput(images)
        run, made = current(), [images[:1, ..., :3]]
        for number, (first, second) in enumerate(pairwise(images), start=1):
            made += [interp_model.between(first, second, multiplier - 1), second[None, ..., :3]]
            run.progress(number, len(images) - 1)
        return NodeOutput(torch.cat(made))
