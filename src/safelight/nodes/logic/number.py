"""Nodes that calculate numbers: from a formula, from other types of values, from an aspect ratio."""

import math
import string
from collections.abc import Mapping

from safelight.nodes.logic.expression import InvalidExpression, Number, evaluate
from safelight.sdk import Node, NodeOutput, Schema, io

RATIOS = (
    "1:1 (Square)",
    "2:3 (Portrait Photo)",
    "3:2 (Photo)",
    "3:4 (Portrait Standard)",
    "4:3 (Standard)",
    "9:16 (Portrait Widescreen)",
    "16:9 (Widescreen)",
    "21:9 (Ultrawide)",
)


class ComfyMathExpression(Node):
    """Calculate a formula from the connected values, which are named a, b, c ... in their order, and "values" as a
    list. Python's operators can be used, and sum, min, max, abs, round, pow, sqrt, ceil, floor, log, log2, log10, sin,
    cos, tan, int and float."""

    @classmethod
    def define_schema(cls) -> Schema:
        value = io.MultiType.Input("value", [io.Float, io.Int, io.Boolean])
        return Schema(
            node_id="ComfyMathExpression",
            display_name="Math Expression",
            category="logic",
            inputs=[
                io.String.Input("expression", default="a + b", multiline=True),
                io.Autogrow.Input("values", value, names=string.ascii_lowercase, min=1),
            ],
            outputs=[io.Float.Output(), io.Int.Output(), io.Boolean.Output(display_name="BOOL")],
        )

    @classmethod
    def execute(cls, expression: str, values: Mapping[str, Number]) -> NodeOutput:
        result = evaluate(expression, {**values, "values": list(values.values())})
        if not isinstance(result, int | float):
            raise InvalidExpression(f"the result of {expression!r} is {result!r}, which is not a number")
        try:
            exact = float(result)
        except OverflowError:
            exact = math.inf
        if not math.isfinite(exact):
            raise InvalidExpression(f"the result of {expression!r} is too large or not a number")
        return NodeOutput(exact, int(result), bool(result))


class ComfyNumberConvert(Node):
    """Convert a text, a boolean or a number to a float and to an integer."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="ComfyNumberConvert",
            display_name="Convert Number",
            category="logic",
            inputs=[io.MultiType.Input("value", [io.Int, io.Float, io.String, io.Boolean])],
            outputs=[io.Float.Output(), io.Int.Output()],
        )

    @classmethod
    def execute(cls, value: Number | str) -> NodeOutput:
        number = _parsed(value) if isinstance(value, str) else value
        try:
            exact = float(number)
        except OverflowError:
            exact = math.inf
        if not math.isfinite(exact):
            raise ValueError(f"{value!r} is not a finite number")
        return NodeOutput(exact, int(number))


class ResolutionSelector(Node):
    """Calculate the width and height of an image from an aspect ratio and a size in megapixels (1024 x 1024 pixels
    each), rounded to a multiple."""

    @classmethod
    def define_schema(cls) -> Schema:
        preview = io.Custom("RESOLUTION_PREVIEW")
        return Schema(
            node_id="ResolutionSelector",
            display_name="Resolution Selector",
            category="logic",
            inputs=[
                io.Combo.Input("aspect_ratio", RATIOS, default=RATIOS[0]),
                io.Float.Input("megapixels", default=1.0, min=0.1, max=16.0, step=0.1),
                io.Int.Input("multiple", default=8, min=8, max=128, step=4, optional=True),
                preview.Input("preview", optional=True),
            ],
            outputs=[io.Int.Output(display_name="width"), io.Int.Output(display_name="height")],
        )

    @classmethod
    def execute(cls, aspect_ratio: str, megapixels: float, multiple: int = 8, preview: object = None) -> NodeOutput:
        across, down = (int(part) for part in aspect_ratio.split(" ")[0].split(":"))
        scale = math.sqrt(megapixels * 1024 * 1024 / (across * down))
        return NodeOutput(*[round(part * scale / multiple) * multiple for part in (across, down)])


def _parsed(text: str) -> Number:
    """Integers of any length are parsed exactly."""
    try:
        return int(text.strip())
    except ValueError:
        try:
            return float(text.strip())
        except ValueError:
            raise ValueError(f"{text!r} is not a number") from None
