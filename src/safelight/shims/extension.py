"""Packs in V3 form: ``comfy_entrypoint()`` returns an extension, which lists its nodes."""

import asyncio
import inspect
from types import ModuleType
from typing import Any

from safelight.sdk.node import Node


def has_entrypoint(module: ModuleType) -> bool:
    return callable(getattr(module, "comfy_entrypoint", None))


def nodes_of(module: ModuleType) -> list[type[Node]]:
    """Return the nodes of the extension. Raises what the pack raises, and :class:`TypeError` if it returns something
    else."""
    return asyncio.run(_nodes_of(module))


async def _nodes_of(module: ModuleType) -> list[type[Node]]:
    extension = await _awaited(module.comfy_entrypoint())
    for method in ("on_load", "get_node_list"):
        if not callable(getattr(extension, method, None)):
            raise TypeError(f"comfy_entrypoint() returned {type(extension).__name__}, not a ComfyExtension")
    await _awaited(extension.on_load())
    nodes = await _awaited(extension.get_node_list())
    for node in nodes:
        if not (isinstance(node, type) and issubclass(node, Node)):
            raise TypeError(f"get_node_list() returned {node!r}, not a class of io.ComfyNode")
    return list(nodes)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
