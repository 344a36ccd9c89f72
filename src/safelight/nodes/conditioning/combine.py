"""Nodes that combine two conditionings, or zero one."""

import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)

from safelight.nodes.conditioning.options import Conditioning
from safelight.sdk import Node, NodeOutput, Schema, io


class ConditioningCombine(Node):
    """Use two conditionings side by side: the model predicts for each, and the predictions are averaged."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningCombine",
            display_name="Conditioning (Combine)",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning_1"),
                io.Conditioning.Input("conditioning_2"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning_1: Conditioning, conditioning_2: Conditioning) -> NodeOutput:
        return NodeOutput(conditioning_1 + conditioning_2)


class ConditioningConcat(Node):
    """Append the tokens of one conditioning to those of another, as if they were one long prompt. Only the first entry
    of "conditioning_from" is used."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningConcat",
            display_name="Conditioning (Concat)",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning_to"),
                io.Conditioning.Input("conditioning_from"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning_to: Conditioning, conditioning_from: Conditioning) -> NodeOutput:
        added = conditioning_from[0][0]
        return NodeOutput(
            [[torch.cat((embedding, added), 1), options.copy()] for embedding, options in conditioning_to]
        )


class ConditioningAverage(Node):
    """Blend two conditionings token by token. A strength of 1 returns "conditioning_to", 0 "conditioning_from", of
    which only the first entry is used."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningAverage",
            category="conditioning",
            inputs=[
                io.Conditioning.Input("conditioning_to"),
                io.Conditioning.Input("conditioning_from"),
                io.Float.Input("conditioning_to_strength", default=1.0, min=0.0, max=1.0, step=0.01),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(
        cls, conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: float
    ) -> NodeOutput:
        other, other_options = conditioning_from[0]
        other_pooled = other_options.get("pooled_output")
        mixed = []
        for embedding, options in conditioning_to:
            options = options.copy()
            if other_pooled is not None:
                pooled = options.get("pooled_output", other_pooled)
                options["pooled_output"] = _mix(pooled, other_pooled, conditioning_to_strength)
            tokens = embedding.shape[1]
            fitted = F.pad(other[:, :tokens], (0, 0, 0, max(0, tokens - other.shape[1])))
            mixed.append([_mix(embedding, fitted, conditioning_to_strength), options])
        return NodeOutput(mixed)


class ConditioningZeroOut(Node):
    """Replace the embeddings, the pooled output and the lyrics of a conditioning with zeros."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConditioningZeroOut",
            category="advanced/conditioning",
            inputs=[
                io.Conditioning.Input("conditioning"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning) -> NodeOutput:
        zeroed = []
        for embedding, options in conditioning:
            zeros = {
                key: torch.zeros_like(options[key])
                for key in ("pooled_output", "conditioning_lyrics")
                if options.get(key) is not None
            }
            zeroed.append([torch.zeros_like(embedding), {**options, **zeros}])
        return NodeOutput(zeroed)


def _mix(one: torch.Tensor, other: torch.Tensor, strength: float) -> torch.Tensor:
    return one * strength + other * (1.0 - strength)
