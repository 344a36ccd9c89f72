"""Nodes on lists of texts, such as the captions of a training set. Each takes the texts one by one and returns a list.

ComfyUI 0.8.0 returns a list too, but declares a single text, which no text input accepts; these nodes declare the list.
"""

from safelight.nodes.text.limits import joined, replaced
from safelight.sdk import Node, NodeOutput, Schema, io


class TextToLowercase(Node):
    """Convert texts to lower case."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TextToLowercase",
            display_name="Text to Lowercase",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str) -> NodeOutput:
        return NodeOutput([texts.lower()])


class TextToUppercase(Node):
    """Convert texts to upper case."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TextToUppercase",
            display_name="Text to Uppercase",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str) -> NodeOutput:
        return NodeOutput([texts.upper()])


class StripWhitespace(Node):
    """Remove white space from both ends of texts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StripWhitespace",
            display_name="Strip Whitespace",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str) -> NodeOutput:
        return NodeOutput([texts.strip()])


class AddTextPrefix(Node):
    """Add a prefix to texts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AddTextPrefix",
            display_name="Add Text Prefix",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
                io.String.Input("prefix", default=""),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str, prefix: str) -> NodeOutput:
        return NodeOutput([joined((prefix, texts))])


class AddTextSuffix(Node):
    """Add a suffix to texts."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="AddTextSuffix",
            display_name="Add Text Suffix",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
                io.String.Input("suffix", default=""),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str, suffix: str) -> NodeOutput:
        return NodeOutput([joined((texts, suffix))])


class ReplaceText(Node):
    """Replace a text inside texts, wherever it occurs."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ReplaceText",
            display_name="Replace Text",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
                io.String.Input("find", default=""),
                io.String.Input("replace", default=""),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str, find: str, replace: str) -> NodeOutput:
        return NodeOutput([replaced(texts, find, replace)])


class TruncateText(Node):
    """Cut texts to a number of characters."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="TruncateText",
            display_name="Truncate Text",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
                io.Int.Input("max_length", default=77, min=1, max=10000),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: str, max_length: int) -> NodeOutput:
        return NodeOutput([texts[:max_length]])


class MergeTextLists(Node):
    """Merge all connected texts into one list."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="MergeTextLists",
            display_name="Merge Text Lists",
            category="dataset/text",
            inputs=[
                io.String.Input("texts"),
            ],
            outputs=[io.String.Output(display_name="texts", is_list=True)],
            is_input_list=True,
            is_experimental=True,
        )

    @classmethod
    def execute(cls, texts: list[str]) -> NodeOutput:
        return NodeOutput(list(texts))
