"""Nodes that choose how a model attends: by which implementation, and to how much of a long sequence."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safelight.core.errors import Invalid
from safelight.models.diffusion_model import DiffusionModel
from safelight.models.families.minimax_h3.sparse_attention import SparseAttention
from safelight.nodes.conditioning.minimax_h3 import h3_network
from safelight.sdk import Node, NodeOutput, Schema, io

PYTORCH, KITCHEN = "pytorch attention", "comfy kitchen attention"


class BadBlocks(Invalid):
    """The list of blocks cannot be read."""

    code = "bad_blocks"


class ModelAttentionBackend(Node):
    """Choose the implementation of a model's attention. Here it is always PyTorch's, which stands in for others that
    are not installed."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelAttentionBackend",
            display_name="Model Attention Backend",
            category="advanced/model",
            inputs=[io.Model.Input("model"), io.Combo.Input("attention", (PYTORCH, KITCHEN), default=PYTORCH)],
            outputs=[io.Model.Output("model")],
        )

    @classmethod
    def execute(cls, model: DiffusionModel, attention: str) -> NodeOutput:
        return NodeOutput(model)


class BlockSparseAttention(Node):
    """Let MiniMax H3 attend only to the blocks of a long film that matter most, which saves time. Short films, and the
    steps and blocks that are left out, attend to everything."""

    @classmethod
    def define_schema(cls) -> Schema:
        keep = io.Float.Input("keep_percent", default=10.0, min=0.5, max=95.0, step=0.5, optional=True)
        tau = io.Float.Input("tau", default=1.3, min=0.0, max=4.0, step=0.05, optional=True)
        methods = [io.Option("sol-attn", [tau]), io.Option("sla", [keep]), io.Option("vsa", [keep])]
        return Schema(
            node_id="BlockSparseAttention",
            display_name="Model Sparse Attention",
            category="advanced/model",
            inputs=[
                io.Model.Input("model"),
                io.DynamicCombo.Input("selection", methods, display_name="method"),
                io.Float.Input("start_percent", default=0.2, min=0.0, max=1.0, step=0.01, optional=True),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.01, optional=True),
                io.String.Input(
                    "dense_blocks",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip='Blocks that attend to everything, such as "0, 1, 47-49".',
                ),
                io.Int.Input("min_tokens", default=12288, min=0, max=1048576, step=512, optional=True, advanced=True),
                io.Int.Input("extra_tokens", default=256, min=0, max=256, step=64, optional=True, advanced=True),
                io.Combo.Input(
                    "sink_conditioning",
                    ("exact_kv", "exact_kv_and_rows", "off"),
                    default="exact_kv_and_rows",
                    optional=True,
                    advanced=True,
                ),
                io.Boolean.Input("verbose", default=False, optional=True, advanced=True),
            ],
            outputs=[io.Model.Output("model")],
        )

    @classmethod
    def execute(
        cls,
        model: DiffusionModel,
        selection: Mapping[str, Any],
        start_percent: float = 0.2,
        end_percent: float = 1.0,
        dense_blocks: str = "",
        min_tokens: int = 12288,
        extra_tokens: int = 256,
        sink_conditioning: Any = "exact_kv_and_rows",
        verbose: bool = False,
    ) -> NodeOutput:
        network, conditioning = h3_network(model, "BlockSparseAttention")
        levels = model.parameterization.levels
        sparse = SparseAttention(
            method=selection["selection"],
            keep=float(selection.get("keep_percent", 10.0)) / 100,
            tau=float(selection.get("tau", 1.3)),
            highest=levels.sigma_at(start_percent),
            lowest=levels.sigma_at(end_percent),
            dense=_numbers(dense_blocks),
            shortest=min_tokens,
            extra=extra_tokens,
            sink=sink_conditioning,
        )
        changed = replace(network, conditioning=replace(conditioning, sparse=sparse))
        return NodeOutput(model.with_(network=changed))


def _numbers(text: str) -> frozenset[int]:
    """``0, 1, 47-49`` as a set. Raises :class:`BadBlocks`."""
    made: set[int] = set()
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, _, last = part.partition("-")
        try:
            made |= set(range(int(first), int(last or first) + 1))
        except ValueError:
            raise BadBlocks(
                f"invalid dense_blocks {text!r}: expected numbers and ranges such as '0, 1, 47-49'"
            ) from None
    return frozenset(made)
