"""Graphs that replace the call that returns them."""

from safelight.sdk.expand import GraphBuilder, GraphNode, is_link
from safelight.sdk.node import Blocker as ExecutionBlocker

Node = GraphNode


def add_graph_prefix(graph: dict[str, dict[str, object]], outputs: tuple[object, ...], prefix: str) -> object:
    """Return the graph with ``prefix`` before each id, and the outputs with their links renamed."""

    def renamed(value: object) -> object:
        return [prefix + value[0], value[1]] if is_link(value) and isinstance(value, list) else value

    new = {}
    for node_id, node in graph.items():
        inputs = node.get("inputs")
        inputs = {name: renamed(v) for name, v in inputs.items()} if isinstance(inputs, dict) else {}
        new[prefix + node_id] = {"class_type": node["class_type"], "inputs": inputs}
    return new, tuple(renamed(value) for value in outputs)


__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]
