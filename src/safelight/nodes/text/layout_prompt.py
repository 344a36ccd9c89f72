"""The node that adds boxes to a prompt, as FLUX.3 reads them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from safelight.sdk import Node, NodeOutput, Schema, io


class Flux3LayoutPrompt(Node):
    """Append boxes to a prompt for FLUX.3 Image: a table with the id, the place and the description of each. The prompt
    refers to a box as <obj_1>, <obj_2> and so on."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="Flux3LayoutPrompt",
            display_name="FLUX 3 Image Layout Prompt",
            category="text",
            inputs=[
                io.String.Input("prompt", multiline=True, dynamic_prompts=True, default=""),
                io.Custom("ARRAY").Input("element", tooltip="Boxes of the node Create Bounding Boxes."),
            ],
            outputs=[io.String.Output("prompt")],
        )

    @classmethod
    def execute(cls, prompt: str, element: Sequence[Mapping[str, Any]] | None = None) -> NodeOutput:
        rows = [
            {"id": f"obj_{number}", "bbox": list(box["bbox"]), "desc": _description(box)}
            for number, box in enumerate(element or (), start=1)
        ]
        table = json.dumps(rows, ensure_ascii=False)
        return NodeOutput(f"{prompt}\n\n{table}" if rows else prompt)


def _description(box: Mapping[str, Any]) -> str:
    text, described = str(box.get("text") or ""), str(box.get("desc") or "")
    return f'"{text}" {described}'.strip() if text else described
