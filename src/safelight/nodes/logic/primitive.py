"""Nodes with a single value, set in a widget and passed on."""

import re

from safelight.sdk import Node, NodeOutput, Schema, io


class PrimitiveInt(Node):
    """Set an integer that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveInt",
            display_name="Int",
            category="utils/primitive",
            inputs=[
                io.Int.Input("value", min=-9223372036854775807, max=9223372036854775807, control_after_generate=True),
            ],
            outputs=[io.Int.Output()],
        )

    @classmethod
    def execute(cls, value: int) -> NodeOutput:
        return NodeOutput(value)


class PrimitiveFloat(Node):
    """Set a number that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveFloat",
            display_name="Float",
            category="utils/primitive",
            inputs=[
                io.Float.Input("value", min=-9223372036854775807, max=9223372036854775807, step=0.1),
            ],
            outputs=[io.Float.Output()],
        )

    @classmethod
    def execute(cls, value: float) -> NodeOutput:
        return NodeOutput(value)


class PrimitiveBoolean(Node):
    """Set a true or false value that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveBoolean",
            display_name="Boolean",
            category="utils/primitive",
            inputs=[
                io.Boolean.Input("value"),
            ],
            outputs=[io.Boolean.Output()],
        )

    @classmethod
    def execute(cls, value: bool) -> NodeOutput:
        return NodeOutput(value)


class PrimitiveString(Node):
    """Set a line of text that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveString",
            display_name="String",
            category="utils/primitive",
            inputs=[
                io.String.Input("value"),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, value: str) -> NodeOutput:
        return NodeOutput(value)


class PrimitiveStringMultiline(Node):
    """Set a text of several lines that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveStringMultiline",
            display_name="String (Multiline)",
            category="utils/primitive",
            inputs=[
                io.String.Input("value", multiline=True),
            ],
            outputs=[io.String.Output()],
        )

    @classmethod
    def execute(cls, value: str) -> NodeOutput:
        return NodeOutput(value)


class SeedNode(Node):
    """Set a seed that several nodes can use."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="SeedNode",
            display_name="Seed",
            category="utils/primitive",
            inputs=[
                io.Int.Input(
                    "seed", default=0, min=0, max=9223372036854775807, extra={"control_after_generate": "fixed"}
                )
            ],
            outputs=[io.Int.Output(display_name="seed")],
        )

    @classmethod
    def execute(cls, seed: int) -> NodeOutput:
        return NodeOutput(seed)


class PrimitiveBoundingBox(Node):
    """Set a rectangle that several nodes can use: its upper left corner and its size, in pixels."""

    @classmethod
    def define_schema(cls) -> Schema:
        return Schema(
            node_id="PrimitiveBoundingBox",
            display_name="Bounding Box",
            category="utils/primitive",
            inputs=[
                io.Int.Input("x", default=0, min=0, max=16384),
                io.Int.Input("y", default=0, min=0, max=16384),
                io.Int.Input("width", default=512, min=1, max=16384),
                io.Int.Input("height", default=512, min=1, max=16384),
            ],
            outputs=[io.BoundingBox.Output()],
        )

    @classmethod
    def execute(cls, x: int, y: int, width: int, height: int) -> NodeOutput:
        return NodeOutput({"x": x, "y": y, "width": width, "height": height})


class ColorToRGBInt(Node):
    """Pick a color. Outputs it as a number (red x 65536 + green x 256 + blue), as #RRGGBB, and its opacity."""

    @classmethod
    def define_schema(cls) -> Schema:
        color = io.Custom("COLOR")
        return Schema(
            node_id="ColorToRGBInt",
            display_name="Color Picker",
            category="utils",
            inputs=[color.Input("color", extra={"default": "#ffffff"})],
            outputs=[
                io.Int.Output(display_name="rgb_int"),
                color.Output(display_name="hex"),
                io.Float.Output(display_name="alpha"),
            ],
        )

    @classmethod
    def execute(cls, color: str) -> NodeOutput:
        if re.fullmatch("#[0-9a-fA-F]{6}(?:[0-9a-fA-F]{2})?", color) is None:
            raise ValueError(f"invalid color {color!r}: write #RRGGBB or #RRGGBBAA")
        alpha = int(color[7:], 16) / 255 if color[7:] else 1.0
        return NodeOutput(int(color[1:7], 16), color[:7], alpha)
