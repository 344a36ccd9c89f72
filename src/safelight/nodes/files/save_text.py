"""Nodes that save text to files."""

import json

from safelight.sdk import Node, NodeOutput, Schema, current, io


class SaveText(Node):
    """Save a text as a file in the output folder. Valid JSON is written with indentation."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SaveText",
            display_name="Save Text",
            category="utils/string",
            search_aliases=["export text", "write file", "caption"],
            is_output_node=True,
            inputs=[
                io.String.Input("text", force_input=True),
                io.String.Input("filename_prefix", default="ComfyUI"),
                io.Combo.Input("format", ["txt", "csv", "md", "json"], default="txt"),
            ],
            outputs=[io.String.Output("text")],
        )

    @classmethod
    def execute(cls, text: str, filename_prefix: str = "ComfyUI", format: str = "txt") -> NodeOutput:
        file = current().open_series(filename_prefix).file(0, f".{format}")
        file.path.write_text(_indented(text) if format == "json" else text, encoding="utf-8", newline="")
        return NodeOutput(text, ui={"text": [text], "files": [file.as_dict()]})


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
