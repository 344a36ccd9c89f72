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

LONG = workflow(
    [
        node(
            1,
            "CheckpointLoaderSimple",
            "Loaded",
            values=["safelight-miniature.safetensors"],
            outputs={"MODEL": ("MODEL", [1]), "CLIP": ("CLIP", [2]), "VAE": ("VAE", [])},
        ),
        node(
            2,
            "CLIPTextEncode",
            "Prompt",
            values=["a red circle"],
            inputs={"clip": ("CLIP", 2)},
            outputs={"CONDITIONING": ("CONDITIONING", [3, 4])},
        ),
        node(3, "EmptyLatentImage", "Empty", values=[128, 128, 1], outputs={"LATENT": ("LATENT", [5])}),
        node(
            4,
            "KSampler",
            "Sampled",
            values=[1, "fixed", 10_000, 2.0, "euler", "normal", 1.0],
            inputs={
                "model": ("MODEL", 1),
                "positive": ("CONDITIONING", 3),
                "negative": ("CONDITIONING", 4),
                "latent_image": ("LATENT", 5),
            },
            outputs={"LATENT": ("LATENT", [6])},
        ),
        node(5, "PreviewAny", "Never", values=[], inputs={"source": ("LATENT", 6)}),
    ],
    [
        (1, 1, 0, 4, 0, "MODEL"),
        (2, 1, 1, 2, 0, "CLIP"),
        (3, 2, 0, 4, 1, "CONDITIONING"),
        (4, 2, 0, 4, 2, "CONDITIONING"),
        (5, 3, 0, 4, 3, "LATENT"),
        (6, 4, 0, 5, 0, "LATENT"),
    ],
)
"""Samples for minutes."""
