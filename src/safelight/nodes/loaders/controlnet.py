"""The node that loads a control network."""

from safelight.models.control.control_network import load_control_network
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
