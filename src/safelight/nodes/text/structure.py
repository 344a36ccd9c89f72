"""Nodes between texts and structured values: JSON, arrays and dictionaries, templates with placeholders."""

import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from safelight.nodes.text.limits import check_length, joined
from safelight.sdk import Node, NodeOutput, Schema, io

MAX_FORMAT_NUMBER = 10_000
"""The largest number in a format such as ``{a:>20}``, so that a template cannot fill the memory."""


MAX_CHARACTERS_READ = 64 * 1024 * 1024
"""Characters that are read to find an object, counted each time they are read."""


class JsonExtractString(Node):
    """Extract the value of a key from the first JSON object in a text, which may be surrounded by other words. The
    result is empty if there is no object, key or value."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="JsonExtractString",
            display_name="Extract Text from JSON",
            category="utils/string",
            inputs=[io.String.Input("json_string", multiline=True), io.String.Input("key")],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, json_string: str, key: str) -> NodeOutput:
        value = first_object(json_string).get(key)
        return NodeOutput("" if value is None else str(value))


class StringFormat(Node):
    """Fill in the placeholders {a}, {b}, {c} ... of a text with the connected values, formatted as in Python:
    {a:.3f}."""

    @classmethod
    def define_schema(cls) -> Schema:
        value = io.AnyType.Input("value", optional=True)
        return Schema(
            node_id="StringFormat",
            display_name="Format Text",
            category="utils/string",
            inputs=[
                io.String.Input("f_string", default="{a}", multiline=True),
                io.Autogrow.Input("values", value, names=string.ascii_lowercase, min=0),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, f_string: str, values: Mapping[str, Any] | None = None) -> NodeOutput:
        return NodeOutput(_Template().fill(f_string, values or {}))


class ConvertArrayToString(Node):
    """Convert an array to JSON text."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConvertArrayToString",
            display_name="Convert Array to String",
            category="utils/string",
            inputs=[io.Custom("ARRAY").Input("array"), _indent()],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, array: Sequence[Any], indent: int = 2) -> NodeOutput:
        return NodeOutput(_as_json(array, indent))


class ConvertDictionaryToString(Node):
    """Convert a dictionary to JSON text."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ConvertDictionaryToString",
            display_name="Convert Dictionary to String",
            category="utils/string",
            inputs=[io.Custom("DICT").Input("dictionary"), _indent()],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, dictionary: Mapping[str, Any], indent: int = 2) -> NodeOutput:
        return NodeOutput(_as_json(dictionary, indent))


def _as_json(value: Any, indent: int) -> str:
    """Limited in length: the indentation of deeply nested values is far longer than the values."""
    return joined(json.JSONEncoder(indent=indent or None, ensure_ascii=False).iterencode(value))


def first_object(text: str) -> dict[str, Any]:
    """The first JSON object that starts at any ``{``; empty if there is none, or none is found before
    :data:`MAX_CHARACTERS_READ` are read."""
    decoder = json.JSONDecoder()
    left = MAX_CHARACTERS_READ
    for start in re.finditer(r"\{", text):
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except json.JSONDecodeError as error:
            left -= error.pos - start.start()
        except (ValueError, RecursionError):
            left -= len(text) - start.start()
        else:
            return value if isinstance(value, dict) else {}
        if left < 0:
            break
    return {}


class _Template(string.Formatter):
    """Python's formatting without attribute access, which would expose the process to the text's author. Mutable: the
    length of the text so far."""

    _size = 0

    def fill(self, template: str, values: Mapping[str, Any]) -> str:
        """Fill in the placeholders. Raises :class:`~safelight.nodes.text.limits.TextTooLong`."""
        check_length(len(template))
        return self.vformat(template, (), values)

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if "." in field_name:
            raise ValueError(f"invalid placeholder {{{field_name}}}: it cannot name an attribute")
        return super().get_field(field_name, args, kwargs)

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if key not in kwargs:
            raise ValueError(f"{{{key}}} is not connected; available are {', '.join(kwargs) or 'no values'}")
        return kwargs[str(key)]

    def format_field(self, value: Any, format_spec: str) -> Any:
        if any(int(number) > MAX_FORMAT_NUMBER for number in re.findall(r"\d+", format_spec)):
            raise ValueError(f"format {format_spec!r} asks for more than {MAX_FORMAT_NUMBER} characters")
        text: str = super().format_field(value, format_spec)
        self._size += len(text)
        check_length(self._size)
        return text


def _indent() -> io.Input:
    return io.Int.Input(
        "indent", default=2, min=0, max=8, optional=True, tooltip="Spaces per level; 0 writes everything on one line."
    )
