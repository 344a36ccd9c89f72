"""Nodes on a single text: join, cut, replace, compare."""

from safelight.nodes.text.limits import joined, replaced
from safelight.sdk import Node, NodeOutput, Schema, io


class StringConcatenate(Node):
    """Join two texts, with a delimiter between them."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringConcatenate",
            display_name="Concatenate",
            category="utils/string",
            inputs=[
                io.String.Input("string_a", multiline=True),
                io.String.Input("string_b", multiline=True),
                io.String.Input("delimiter", default=""),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, string_a: str, string_b: str, delimiter: str = "") -> NodeOutput:
        return NodeOutput(joined((string_a, delimiter, string_b)))


class StringSubstring(Node):
    """Extract the characters from "start" (the first is 0) up to but not including "end". Negative positions count back
    from the end of the text."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringSubstring",
            display_name="Substring",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.Int.Input("start"),
                io.Int.Input("end"),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, string: str, start: int, end: int) -> NodeOutput:
        return NodeOutput(string[start:end])


class StringLength(Node):
    """Count the characters of a text."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringLength",
            display_name="Length",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
            ],
            outputs=[io.Int.Output(display_name="length")],
        )

    @classmethod
    def execute(cls, string: str) -> NodeOutput:
        return NodeOutput(len(string))


class CaseConverter(Node):
    """Convert a text to upper or lower case, or capitalize the text or each word."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="CaseConverter",
            display_name="Case Converter",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.Combo.Input("mode", ["UPPERCASE", "lowercase", "Capitalize", "Title Case"]),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, string: str, mode: str) -> NodeOutput:
        match mode:
            case "UPPERCASE":
                return NodeOutput(string.upper())
            case "lowercase":
                return NodeOutput(string.lower())
            case "Capitalize":
                return NodeOutput(string.capitalize())
            case "Title Case":
                return NodeOutput(string.title())
        raise ValueError(f"unknown mode {mode!r}")


class StringTrim(Node):
    """Remove white space from the start of a text, from its end, or from both."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringTrim",
            display_name="Trim",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.Combo.Input("mode", ["Both", "Left", "Right"]),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, string: str, mode: str) -> NodeOutput:
        match mode:
            case "Both":
                return NodeOutput(string.strip())
            case "Left":
                return NodeOutput(string.lstrip())
            case "Right":
                return NodeOutput(string.rstrip())
        raise ValueError(f"unknown mode {mode!r}")


class StringReplace(Node):
    """Replace a text wherever it occurs."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringReplace",
            display_name="Replace",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.String.Input("find", multiline=True),
                io.String.Input("replace", multiline=True),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, string: str, find: str, replace: str) -> NodeOutput:
        return NodeOutput(replaced(string, find, replace))


class StringContains(Node):
    """Check whether a text contains another."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringContains",
            display_name="Contains",
            category="utils/string",
            inputs=[
                io.String.Input("string", multiline=True),
                io.String.Input("substring", multiline=True),
                io.Boolean.Input("case_sensitive", default=True),
            ],
            outputs=[io.Boolean.Output(display_name="contains")],
        )

    @classmethod
    def execute(cls, string: str, substring: str, case_sensitive: bool) -> NodeOutput:
        if not case_sensitive:
            string, substring = string.lower(), substring.lower()
        return NodeOutput(substring in string)


class StringCompare(Node):
    """Check whether two texts are equal, or whether the first starts or ends with the second."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="StringCompare",
            display_name="Compare",
            category="utils/string",
            inputs=[
                io.String.Input("string_a", multiline=True),
                io.String.Input("string_b", multiline=True),
                io.Combo.Input("mode", ["Starts With", "Ends With", "Equal"]),
                io.Boolean.Input("case_sensitive", default=True),
            ],
            outputs=[io.Boolean.Output()],
        )

    @classmethod
    def execute(cls, string_a: str, string_b: str, mode: str, case_sensitive: bool) -> NodeOutput:
        if not case_sensitive:
            string_a, string_b = string_a.lower(), string_b.lower()
        match mode:
            case "Starts With":
                return NodeOutput(string_a.startswith(string_b))
            case "Ends With":
                return NodeOutput(string_a.endswith(string_b))
            case "Equal":
                return NodeOutput(string_a == string_b)
        raise ValueError(f"unknown mode {mode!r}")
