"""The executor's graph. Packs take :class:`ExecutionBlocker` from here; the graph of a job is its ``DYNPROMPT``."""

from safelight.sdk.node import Blocker as ExecutionBlocker


class NodeNotFoundError(Exception):
    """A node of the graph does not exist."""


class NodeInputError(Exception):
    """A node's input does not exist."""


class DependencyCycleError(Exception):
    """The graph has a cycle."""


__all__ = ["DependencyCycleError", "ExecutionBlocker", "NodeInputError", "NodeNotFoundError"]
