"""Find node classes: every concrete :class:`Node` that a module of a package defines is a node of that package."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from safelight.sdk.node import Node


def discover(package: ModuleType) -> dict[str, type[Node]]:
    """Import every module below ``package`` and return its nodes by id. Raises :class:`ValueError` for a duplicate
    id."""
    found: dict[str, type[Node]] = {}
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        for node in nodes_of(importlib.import_module(info.name)):
            node_id = node.define_schema().node_id
            if node_id in found:
                raise ValueError(f"duplicate node id {node_id!r}: {found[node_id]} and {node}")
            found[node_id] = node
    return found


def nodes_of(module: ModuleType) -> Iterator[type[Node]]:
    """Yield the nodes that ``module`` itself defines; a class without ``define_schema`` is an abstract base."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Node) and value.__module__ == module.__name__:
            try:
                value.define_schema()
            except NotImplementedError:
                continue
            yield value
