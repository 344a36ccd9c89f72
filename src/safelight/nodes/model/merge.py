"""Nodes that merge two models, or two text encoders, weight by weight."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.merging import IncompatibleModels, MergeRatios, merge_layer
from safelight.models.stored_network import StoredNetwork
from safelight.models.text.encoder import TextEncoder
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "advanced/model_merging"


def _ratio(id: str = "ratio") -> io.Input:
    return io.Float.Input(id, default=1.0, min=0.0, max=1.0, step=0.01)


def _multiplier() -> io.Input:
    return io.Float.Input("multiplier", default=1.0, min=-10.0, max=10.0, step=0.01)


def _schema(node_id: str, kind: Any, names: tuple[str, str], *inputs: io.Input) -> Schema:
    return Schema(
        node_id=node_id,
        category=_CATEGORY,
        inputs=[kind.Input(names[0]), kind.Input(names[1]), *inputs],
        outputs=[kind.Output()],
    )


class ModelMergeSimple(Node):
    """Merge two models: "ratio" is the share of the first, the rest is the second."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("ModelMergeSimple", io.Model, ("model1", "model2"), _ratio())

    @classmethod
    def execute(cls, model1: DiffusionModel, model2: DiffusionModel, ratio: float) -> NodeOutput:
        return _models(model1, model2, lambda name: (ratio, 1 - ratio))


class ModelMergeBlocks(Node):
    """Merge two models, with separate ratios (the share of the first) for the input, middle and output blocks."""

    @classmethod
    def define_schema(cls) -> Schema:
        ratios = (_ratio("input"), _ratio("middle"), _ratio("out"))
        return _schema("ModelMergeBlocks", io.Model, ("model1", "model2"), *ratios)

    @classmethod
    def execute(
        cls,
        model1: DiffusionModel,
        model2: DiffusionModel,
        input: float,
        middle: float,
        out: float,
    ) -> NodeOutput:
        def ratios_of(name: str) -> tuple[float, float]:
            ratio = middle if name.startswith("middle") else out if name.startswith("out") else input
            return ratio, 1 - ratio

        return _models(model1, model2, ratios_of)


class _ModelMergeParts(Node):
    """Merge with a ratio for each part. If the names of two parts begin a weight's name, the longer one is used."""

    @classmethod
    def execute(cls, model1: DiffusionModel, model2: DiffusionModel, **ratios: float) -> NodeOutput:
        by_length = sorted(ratios, key=len, reverse=True)

        def ratios_of(name: str) -> tuple[float, float]:
            part = next((part for part in by_length if name.startswith(part)), None)
            ratio = next(iter(ratios.values())) if part is None else ratios[part]
            return ratio, 1 - ratio

        return _models(model1, model2, ratios_of)


class ModelMergeSD1(_ModelMergeParts):
    """Merge two Stable Diffusion 1 models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _by_parts("ModelMergeSD1", 12)


class ModelMergeSD2(_ModelMergeParts):
    """Merge two Stable Diffusion 2 models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _by_parts("ModelMergeSD2", 12)


class ModelMergeSDXL(_ModelMergeParts):
    """Merge two Stable Diffusion XL models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _by_parts("ModelMergeSDXL", 9, end="")


def _by_parts(node_id: str, blocks: int, *, end: str = ".") -> Schema:
    """``blocks``: the number of input blocks and of output blocks. ``end``: the end of their names."""
    counted = (("input_blocks", blocks), ("middle_block", 3), ("output_blocks", blocks))
    names = [f"{name}.{index}{end}" for name, count in counted for index in range(count)]
    ratios = map(_ratio, ("time_embed.", "label_emb.", *names, "out."))
    schema = _schema(node_id, io.Model, ("model1", "model2"), *ratios)
    return replace(schema, category=f"{_CATEGORY}/model_specific")


class ModelMergeFlux1(_ModelMergeParts):
    """Merge two Flux 1 models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        first = ("img_in.", "time_in.", "guidance_in", "vector_in.", "txt_in.")
        return _by_blocks("ModelMergeFlux1", first, {"double_blocks": 19, "single_blocks": 38})


class ModelMergeSD3_2B(_ModelMergeParts):  # noqa: N801
    """Merge two Stable Diffusion 3 medium models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _by_blocks("ModelMergeSD3_2B", _MMDIT, {"joint_blocks": 24})


class ModelMergeSD35_Large(_ModelMergeParts):  # noqa: N801
    """Merge two Stable Diffusion 3.5 large models, with a ratio (the share of the first) for each block."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _by_blocks("ModelMergeSD35_Large", _MMDIT, {"joint_blocks": 38})


_MMDIT = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")


def _by_blocks(node_id: str, first: tuple[str, ...], counts: dict[str, int]) -> Schema:
    """``first``: the parts before the blocks; ``counts``: how many blocks there are, by name."""
    blocks = [f"{name}.{index}." for name, count in counts.items() for index in range(count)]
    schema = _schema(node_id, io.Model, ("model1", "model2"), *map(_ratio, (*first, *blocks, "final_layer.")))
    return replace(schema, category=f"{_CATEGORY}/model_specific")


class ModelMergeAdd(Node):
    """Add the weights of two models, one of which is a difference (from ModelMergeSubtract)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("ModelMergeAdd", io.Model, ("model1", "model2"))

    @classmethod
    def execute(cls, model1: DiffusionModel, model2: DiffusionModel) -> NodeOutput:
        return _models(model1, model2, lambda name: (1.0, 1.0))


class ModelMergeSubtract(Node):
    """Subtract the weights of the second model from those of the first, and multiply the difference by "multiplier"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("ModelMergeSubtract", io.Model, ("model1", "model2"), _multiplier())

    @classmethod
    def execute(cls, model1: DiffusionModel, model2: DiffusionModel, multiplier: float) -> NodeOutput:
        return _models(model1, model2, lambda name: (multiplier, -multiplier))


class CLIPMergeSimple(Node):
    """Merge two text encoders: "ratio" is the share of the first, the rest is the second."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("CLIPMergeSimple", io.Clip, ("clip1", "clip2"), _ratio())

    @classmethod
    def execute(cls, clip1: TextEncoder, clip2: TextEncoder, ratio: float) -> NodeOutput:
        return _encoders(clip1, clip2, lambda name: (ratio, 1 - ratio))


class CLIPMergeAdd(Node):
    """Add the weights of two text encoders, one of which is a difference (from CLIPMergeSubtract)."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("CLIPMergeAdd", io.Clip, ("clip1", "clip2"))

    @classmethod
    def execute(cls, clip1: TextEncoder, clip2: TextEncoder) -> NodeOutput:
        return _encoders(clip1, clip2, lambda name: (1.0, 1.0))


class CLIPMergeSubtract(Node):
    """Subtract the weights of the second text encoder from those of the first, and multiply the difference by
    "multiplier"."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _schema("CLIPMergeSubtract", io.Clip, ("clip1", "clip2"), _multiplier())

    @classmethod
    def execute(cls, clip1: TextEncoder, clip2: TextEncoder, multiplier: float) -> NodeOutput:
        return _encoders(clip1, clip2, lambda name: (multiplier, -multiplier))


def _models(first: DiffusionModel, second: DiffusionModel, ratios: MergeRatios) -> NodeOutput:
    one, other = _stored(first), _stored(second)
    return NodeOutput(first.with_layers(merge_layer("merge", one.weights.shapes, other.weights, other.layers, ratios)))


def _stored(model: DiffusionModel) -> StoredNetwork:
    if not isinstance(model.network, StoredNetwork):
        raise IncompatibleModels(f"a model of type {type(model.network).__name__!r} has no weights of its own to merge")
    return model.network


def _encoders(first: TextEncoder, second: TextEncoder, ratios: Callable[[str], tuple[float, float]]) -> NodeOutput:
    one, other = require_text_encoder(first), require_text_encoder(second)
    return NodeOutput(one.with_layers(merge_layer("merge", one.weights.shapes, other.weights, other.layers, ratios)))
