"""Nodes that choose: one of two inputs, or an option from a list that the user writes."""

from typing import Any

from safelight.sdk import Node, NodeOutput, Schema, io


class ComfySwitchNode(Node):
    """Pass on one of two inputs. The nodes behind the other one do not run."""

    @classmethod
    def define_schema(cls) -> Schema:
        template = io.Template("switch")
        return Schema(
            node_id="ComfySwitchNode",
            display_name="Switch",
            category="logic",
            inputs=[
                io.Boolean.Input("switch"),
                io.MatchType.Input("on_false", template, lazy=True),
                io.MatchType.Input("on_true", template, lazy=True),
            ],
            outputs=[io.MatchType.Output(template, display_name="output")],
            is_experimental=True,
        )

    @classmethod
    def check_lazy_status(cls, switch: bool, on_false: Any = None, on_true: Any = None) -> list[str]:
        if switch:
            return ["on_true"] if on_true is None else []
        return ["on_false"] if on_false is None else []

    @classmethod
    def execute(cls, switch: bool, on_false: Any = None, on_true: Any = None) -> NodeOutput:
        return NodeOutput(on_true if switch else on_false)


class CustomCombo(Node):
    """Choose from a list of your own. Write the options on the node; it outputs the chosen one as text, and its
    position in the list, counted from 0."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CustomCombo",
            display_name="Custom Combo",
            category="utils",
            inputs=[io.Combo.Input("choice", []), io.Int.Input("index", default=0, optional=True)],
            outputs=[io.String.Output(), io.Int.Output(display_name="INDEX")],
            is_experimental=True,
        )

    @classmethod
    def validate_inputs(cls, choice: str) -> bool:
        return True  # the client stores the options in the workflow, so the server has none to check against

    @classmethod
    def execute(cls, choice: str, index: int | None = None) -> NodeOutput:
        # clients from before the second output send no index
        return NodeOutput(choice) if index is None else NodeOutput(choice, index)
