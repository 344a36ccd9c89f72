"""Nodes that set options of Flux and editing models: guidance, reference images."""

from typing import Any

from safelight.nodes.conditioning.options import Conditioning, with_appended, with_options
from safelight.sdk import Node, NodeOutput, Schema, io


class FluxGuidance(Node):
    """Set the guidance that Flux models were distilled with: how closely to follow the prompt."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FluxGuidance",
            category="advanced/conditioning/flux",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Float.Input("guidance", default=3.5, min=0.0, max=100.0, step=0.1),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, guidance: float) -> NodeOutput:
        return NodeOutput(with_options(conditioning, {"guidance": guidance}))


class FluxDisableGuidance(Node):
    """Remove the guidance from a conditioning, for Flux models without guidance distillation."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FluxDisableGuidance",
            category="advanced/conditioning/flux",
            inputs=[
                io.Conditioning.Input("conditioning"),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning) -> NodeOutput:
        return NodeOutput(with_options(conditioning, {"guidance": None}))


class ReferenceLatent(Node):
    """Give an editing model a reference image. Chain several of these nodes for several images."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ReferenceLatent",
            category="advanced/conditioning/edit_models",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Latent.Input("latent", optional=True),
            ],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, latent: dict[str, Any] | None = None) -> NodeOutput:
        if latent is None:
            return NodeOutput(conditioning)
        return NodeOutput(with_appended(conditioning, "reference_latents", latent["samples"]))


class FluxKontextMultiReferenceLatentMethod(Node):
    """Choose how an editing model keeps several reference images apart."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="FluxKontextMultiReferenceLatentMethod",
            display_name="Edit Model Reference Method",
            category="advanced/conditioning/flux",
            inputs=[
                io.Conditioning.Input("conditioning"),
                io.Combo.Input("reference_latents_method", ["offset", "index", "uxo/uno", "index_timestep_zero"]),
            ],
            outputs=[io.Conditioning.Output()],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, conditioning: Conditioning, reference_latents_method: str) -> NodeOutput:
        # the models have one name for the method of the UXO and UNO papers
        method = "uxo" if reference_latents_method == "uxo/uno" else reference_latents_method
        return NodeOutput(with_options(conditioning, {"reference_latents_method": method}))
