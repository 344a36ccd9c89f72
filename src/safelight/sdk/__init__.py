"""All that a node author imports: ``from safelight.sdk import io, ui, Node, NodeOutput, Schema, current``.

The shape is that of ComfyUI's V3 nodes, so that an author of one can read the other. Nothing here knows of servers.
"""

from safelight.sdk import io, ui
from safelight.sdk.context import Cancelled, Context, OutputFile, OutputSeries, current
from safelight.sdk.node import Blocker, Hidden, Node, NodeOutput
from safelight.sdk.schema import Schema

__all__ = [
    "Blocker",
    "Cancelled",
    "Context",
    "Hidden",
    "Node",
    "NodeOutput",
    "OutputFile",
    "OutputSeries",
    "Schema",
    "current",
    "io",
    "ui",
]
