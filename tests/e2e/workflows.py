"""Small workflows as the web UI saves them: nodes with titles, links, the values of widgets."""

from collections.abc import Mapping
from typing import Any

Link = tuple[int, int, int, int, int, str]
"""id, from node, its output, to node, its input, type."""


def workflow(nodes: list[dict[str, Any]], links: list[Link]) -> dict[str, Any]:
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": [list(link) for link in links],
        "groups": [],
        "config": {},
        "extra": {"ds": {"scale": 1, "offset": [100, 120]}},
        "version": 0.4,
    }


def node(
    node_id: int,
    type: str,
    title: str,
    *,
    values: list[Any],
    inputs: Mapping[str, tuple[str, int]] | None = None,
    outputs: Mapping[str, tuple[str, list[int]]] | None = None,
) -> dict[str, Any]:
    """``inputs``: name -> type and link; ``outputs``: name -> type and links."""
    return {
        "id": node_id,
        "type": type,
        "title": title,
        "pos": [60 + 380 * (node_id - 1), 60],
        "size": [320, 380],
        "flags": {},
        "order": node_id - 1,
        "mode": 0,
        "inputs": [{"name": name, "type": kind, "link": link} for name, (kind, link) in (inputs or {}).items()],
        "outputs": [{"name": name, "type": kind, "links": links} for name, (kind, links) in (outputs or {}).items()],
        "properties": {"Node name for S&R": type},
        "widgets_values": values,
    }


BLUR = workflow(
    [
        node(1, "EmptyImage", "A red field", values=[1600, 900, 1, 0xB3291D], outputs={"IMAGE": ("IMAGE", [1])}),
        node(
            2,
            "ImageBlur",
            "Blurred",
            values=[31, 10.0],
            inputs={"image": ("IMAGE", 1)},
            outputs={"IMAGE": ("IMAGE", [2])},
        ),
        node(3, "SaveImage", "Saved", values=["e2e/field"], inputs={"images": ("IMAGE", 2)}),
    ],
    [(1, 1, 0, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE")],
)

INVERT = workflow(
    [
        node(
            1,
            "LoadImage",
            "A photograph",
            values=["first.png", "image"],
            outputs={"IMAGE": ("IMAGE", [1]), "MASK": ("MASK", [])},
        ),
        node(
            2,
            "ImageInvert",
            "Inverted",
            values=[],
            inputs={"image": ("IMAGE", 1)},
            outputs={"IMAGE": ("IMAGE", [2])},
        ),
        node(3, "PreviewImage", "Shown", values=[], inputs={"images": ("IMAGE", 2)}),
    ],
    [(1, 1, 0, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE")],
)

ENDLESS = workflow(
    [
        node(
            1,
            "RegexMatch",
            "Catastrophe",
            values=["a" * 60 + "b", "(a+)+$", False, False, False],
            outputs={"matches": ("BOOLEAN", [1])},
        ),
        node(2, "PreviewAny", "Never", values=[], inputs={"source": ("BOOLEAN", 1)}),
    ],
    [(1, 1, 0, 2, 0, "BOOLEAN")],
)
"""A regular expression that backtracks for years and keeps the interpreter's lock."""
