"""Nodes that rotate, mirror, crop and join latents."""

import torch

from safelight.nodes.image.resampling import repeat_to
from safelight.nodes.latent.samples import Latent, with_samples
from safelight.sdk import Node, NodeOutput, Schema, io

DIMENSIONS = {"x": -1, "y": -2, "t": -3}


class LatentRotate(Node):
    """Rotate a latent clockwise by quarter turns."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentRotate",
            display_name="Rotate Latent",
            category="latent/transform",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("rotation", ["none", "90 degrees", "180 degrees", "270 degrees"]),
            ],
            outputs=[io.Latent.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, samples: Latent, rotation: str) -> NodeOutput:
        quarters = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}[rotation]
        return NodeOutput(with_samples(samples, torch.rot90(samples["samples"], quarters, dims=(-1, -2))))


class LatentFlip(Node):
    """Flip a latent upside down or left to right."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentFlip",
            display_name="Flip Latent",
            category="latent/transform",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("flip_method", ["x-axis: vertically", "y-axis: horizontally"]),
            ],
            outputs=[io.Latent.Output()],
            listed_combos=True,
        )

    @classmethod
    def execute(cls, samples: Latent, flip_method: str) -> NodeOutput:
        dimension = {"x-axis: vertically": -2, "y-axis: horizontally": -1}[flip_method]
        return NodeOutput(with_samples(samples, samples["samples"].flip(dimension)))


class LatentCrop(Node):
    """Crop a latent to a rectangle (in pixels of the image). The corner is moved inward if it lies too close to the
    border."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentCrop",
            display_name="Crop Latent",
            category="latent/transform",
            inputs=[
                io.Latent.Input("samples"),
                io.Int.Input("width", default=512, min=64, max=16384, step=8),
                io.Int.Input("height", default=512, min=64, max=16384, step=8),
                io.Int.Input("x", default=0, min=0, max=16384, step=8),
                io.Int.Input("y", default=0, min=0, max=16384, step=8),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, width: int, height: int, x: int, y: int) -> NodeOutput:
        old = samples["samples"]
        left = min(x // 8, max(0, old.shape[-1] - 8))
        top = min(y // 8, max(0, old.shape[-2] - 8))
        cut = old[..., top : top + height // 8, left : left + width // 8]
        return NodeOutput(with_samples(samples, cut))


class LatentCut(Node):
    """Cut a slice out of a latent: "amount" positions along x, y or t, starting at "index". A negative index counts
    back from the end."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentCut",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("dim", ["x", "y", "t"]),
                io.Int.Input("index", default=0, min=-16384, max=16384, step=1),
                io.Int.Input("amount", default=1, min=1, max=16384, step=1),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, dim: str, index: int, amount: int) -> NodeOutput:
        old = samples["samples"]
        size = old.shape[DIMENSIONS[dim]]
        start = min(index, size - 1) if index >= 0 else max(index + size, 0)
        return NodeOutput(with_samples(samples, old.narrow(DIMENSIONS[dim], start, min(amount, size - start))))


class LatentCutToBatch(Node):
    """Cut a latent into slices along x, y or t, and make a batch of them. A remainder is dropped."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentCutToBatch",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples"),
                io.Combo.Input("dim", ["t", "x", "y"]),
                io.Int.Input("slice_size", default=1, min=1, max=16384, step=1),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, dim: str, slice_size: int) -> NodeOutput:
        old = samples["samples"]
        dimension = old.ndim + DIMENSIONS[dim]
        if dimension < 2:  # an image has no time axis
            return NodeOutput(samples)
        slice_size = min(slice_size, old.shape[dimension])
        count = old.shape[dimension] // slice_size
        slices = old.narrow(dimension, 0, count * slice_size).unflatten(dimension, (count, slice_size))
        return NodeOutput(with_samples(samples, slices.movedim(dimension, 1).flatten(0, 1)))


class LatentConcat(Node):
    """Join two latents along x, y or t. With "-", the second comes first."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="LatentConcat",
            category="latent/advanced",
            inputs=[
                io.Latent.Input("samples1"),
                io.Latent.Input("samples2"),
                io.Combo.Input("dim", ["x", "-x", "y", "-y", "t", "-t"]),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples1: Latent, samples2: Latent, dim: str) -> NodeOutput:
        one = samples1["samples"]
        other = repeat_to(samples2["samples"], len(one))
        pair = (other, one) if dim.startswith("-") else (one, other)
        return NodeOutput(with_samples(samples1, torch.cat(pair, dim=DIMENSIONS[dim.lstrip("-")])))


class TrimVideoLatent(Node):
    """Drop latent frames from the start of a video."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TrimVideoLatent",
            category="latent/video",
            inputs=[
                io.Latent.Input("samples"),
                io.Int.Input("trim_amount", default=0, min=0, max=99999),
            ],
            outputs=[io.Latent.Output()],
        )

    @classmethod
    def execute(cls, samples: Latent, trim_amount: int) -> NodeOutput:
        return NodeOutput(with_samples(samples, samples["samples"][:, :, trim_amount:]))
