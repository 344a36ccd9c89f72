"""Everything that a node author imports: ``from safelight.sdk import io, ui, Node, NodeOutput, Schema, current``.

Nodes have the shape of ComfyUI's V3 nodes, so that an author of one can read the other. Nothing here knows of servers.

* ``context``: the context of a running call: files, models, progress.
* ``expand``: graphs that replace the call that returns them.
* ``in_pieces``: values that are made piece by piece when they are read.
* ``io``: the types of inputs and outputs.
* ``node``: the base class of nodes, and what they return.
* ``plain``: conversion to plain data.
* ``registry``: finds the node classes of a package.
* ``schema``: a node's declaration.
* ``ui``: what output nodes show.
* ``v1``: adapts ComfyUI's older node classes.
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
