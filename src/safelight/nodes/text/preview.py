"""The node that shows any value as text."""

import json
from typing import Any

from safelight.sdk import Node, NodeOutput, Schema, io, ui


class PreviewAny(Node):
    """Show any value as text, with lists and dictionaries as JSON, and pass the text on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PreviewAny",
            display_name="Preview as Text",
            category="utils",
            inputs=[io.AnyType.Input("source")],
            outputs=[io.String.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, source: Any = None) -> NodeOutput:
        text = as_text(source)
        return NodeOutput(text, ui=ui.Text(text))


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    try:
        return json.dumps(value, indent=4)
    except (TypeError, ValueError):  # a tensor, a model, a circular reference
        return str(value)
