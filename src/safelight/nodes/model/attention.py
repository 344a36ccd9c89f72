"""Nodes that strengthen or weaken a network's attention, by scaling its weights."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from safelight.models.diffusion_model import DiffusionModel
from safelight.models.text.encoder import TextEncoder
from safelight.models.weight_layers import WeightLayer, WeightPatch
from safelight.nodes.conditioning.encode import require_text_encoder
from safelight.sdk import Node, NodeOutput, Schema, io

_CATEGORY = "_for_testing/attention_experiments"


def _factors(*ids: str) -> list[io.Input]:
    return [io.Float.Input(id, default=1.0, min=0.0, max=10.0, step=0.01) for id in ids]


class UNetSelfAttentionMultiply(Node):
    """Multiply the q, k, v and output weights of the model's self-attention."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _of_models("UNetSelfAttentionMultiply", "q", "k", "v", "out")

    @classmethod
    def execute(cls, model: DiffusionModel, q: float, k: float, v: float, out: float) -> NodeOutput:
        return _scaled_model(model, _projections(r"\.attn1\.", q, k, v, out))


class UNetCrossAttentionMultiply(Node):
    """Multiply the q, k, v and output weights of the model's attention to the prompt."""

    @classmethod
    def define_schema(cls) -> Schema:
        return _of_models("UNetCrossAttentionMultiply", "q", "k", "v", "out")

    @classmethod
    def execute(cls, model: DiffusionModel, q: float, k: float, v: float, out: float) -> NodeOutput:
        return _scaled_model(model, _projections(r"\.attn2\.", q, k, v, out))


class UNetTemporalAttentionMultiply(Node):
    """Multiply the attention output of a video model, within frames (structural) and between frames (temporal)."""

    @classmethod
    def define_schema(cls) -> Schema:
        ids = ("self_structural", "self_temporal", "cross_structural", "cross_temporal")
        return _of_models("UNetTemporalAttentionMultiply", *ids)

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        self_structural: float,
        self_temporal: float,
        cross_structural: float,
        cross_temporal: float,
    ) -> NodeOutput:
        end = r"\.to_out\.0\.(?:weight|bias)$"
        factors = {
            rf"\.time_stack\..*\.attn1{end}": self_temporal,
            rf"^(?!.*\.time_stack\.).*\.attn1{end}": self_structural,
            rf"\.time_stack\..*\.attn2{end}": cross_temporal,
            rf"^(?!.*\.time_stack\.).*\.attn2{end}": cross_structural,
        }
        return _scaled_model(model, factors)


class CLIPAttentionMultiply(Node):
    """Multiply the q, k, v and output weights of a text encoder's attention."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CLIPAttentionMultiply",
            category=_CATEGORY,
            inputs=[io.Clip.Input("clip"), *_factors("q", "k", "v", "out")],
            outputs=[io.Clip.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, clip: TextEncoder, q: float, k: float, v: float, out: float) -> NodeOutput:
        encoder = require_text_encoder(clip)
        names = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
        factors = {rf"\.self_attn\.{name}\.(?:weight|bias)$": factor for name, factor in names.items()}
        return NodeOutput(encoder.with_layers(_layer(encoder.shapes, factors)))


@dataclass(frozen=True)
class _ScalePatch:
    factor: float

    def apply(self, weight: torch.Tensor, strength: float) -> torch.Tensor:
        return weight * (1 + (self.factor - 1) * strength)


def _projections(where: str, q: float, k: float, v: float, out: float) -> dict[str, float]:
    names = {"to_q": q, "to_k": k, "to_v": v, r"to_out\.0": out}
    return {rf"{where}{name}\.(?:weight|bias)$": factor for name, factor in names.items()}


def _layer(names: Iterable[str], factors: Mapping[str, float]) -> WeightLayer:
    """``factors`` by regular expressions on names; weights multiplied by 1 stay shared."""
    patches: dict[str, WeightPatch] = {
        name: _ScalePatch(factor)
        for name in names
        for pattern, factor in factors.items()
        if factor != 1.0 and re.search(pattern, name)
    }
    return WeightLayer("attention", patches)


def _scaled_model(model: DiffusionModel, factors: Mapping[str, float]) -> NodeOutput:
    return NodeOutput(model.with_layers(_layer(model.network.shapes, factors)))


def _of_models(node_id: str, *ids: str) -> Schema:
    return Schema(
        node_id=node_id,
        category=_CATEGORY,
        inputs=[io.Model.Input("model"), *_factors(*ids)],
        outputs=[io.Model.Output()],
        is_experimental=True,
    )
