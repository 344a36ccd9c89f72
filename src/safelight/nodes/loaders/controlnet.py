"""The nodes that load control networks and model patches."""

from safelight.models.control.control_network import load_control_network
from safelight.models.control.model_patch import load_model_patch
from safelight.models.weights import Identity, identity_of
from safelight.sdk import Node, NodeOutput, Schema, io
from safelight.sdk.context import current


class ControlNetLoader(Node):
    """Load a ControlNet, which guides a model by an image: edges, depth, a pose."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ControlNetLoader",
            display_name="Load ControlNet Model",
            category="loaders",
            inputs=[io.Combo.Input("control_net_name", model_folder="controlnet")],
            outputs=[io.ControlNet.Output()],
            listed_combos=True,
            search_aliases=["controlnet", "control net"],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str) -> Identity:
        return identity_of(current().model_path("controlnet", control_net_name))

    @classmethod
    def execute(cls, control_net_name: str) -> NodeOutput:
        return NodeOutput(load_control_network(current().model_path("controlnet", control_net_name)))


class ModelPatchLoader(Node):
    """Load a model patch: a small network that works between the blocks of a transformer, for control images or
    styles."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ModelPatchLoader",
            category="advanced/loaders",
            inputs=[io.Combo.Input("name", model_folder="model_patches")],
            outputs=[io.Custom("MODEL_PATCH").Output()],
            is_experimental=True,
            listed_combos=True,
        )

    @classmethod
    def fingerprint_inputs(cls, name: str) -> Identity:
        return identity_of(current().model_path("model_patches", name))

    @classmethod
    def execute(cls, name: str) -> NodeOutput:
        return NodeOutput(load_model_patch(current().model_path("model_patches", name)))
