"""What lists and histories show of a job's outputs."""

from typing import Any

import pytest

from safelight.core.event import NodeCall
from safelight.core.output import by_node, meta_by_node, summarise


def file(name: str, type: str = "output") -> dict[str, str]:
    return {"filename": name, "subfolder": "", "type": type}


def call(id: str, display_id: str | None = None) -> NodeCall:
    return NodeCall(id, display_id or id, None if display_id is None else display_id, display_id or id)


def test_outputs_are_by_the_node_that_the_user_sees() -> None:
    outputs = [
        (call("9"), {"images": [file("a.png")], "animated": (True,)}),
        (call("3.0.0.1", "3"), {"text": ["one"]}),
        (call("3.0.0.2", "3"), {"text": ["two"], "images": [file("b.png")]}),
        (call("4"), None),
    ]
    assert by_node(outputs) == {
        "9": {"images": [file("a.png")], "animated": (True,)},
        "3": {"text": ["one", "two"], "images": [file("b.png")]},
    }
    assert meta_by_node(outputs) == {
        "9": {"node_id": "9", "display_node": "9", "parent_node": None, "real_node_id": "9"},
        "3": {"node_id": "3.0.0.1", "display_node": "3", "parent_node": "3", "real_node_id": "3"},
    }


def test_what_a_call_says_last_counts() -> None:
    assert by_node([(call("1"), {"text": ["a"]}), (call("1"), {"text": ["b"]})]) == {"1": {"text": ["b"]}}


@pytest.mark.parametrize(
    ("outputs", "count", "preview", "kinds"),
    [
        ({}, 0, None, set()),
        ({"1": {"text": ["a", "b"], "animated": (True,)}}, 0, None, set()),
        ({"1": {"images": [file("t.png", "temp")]}}, 1, ("t.png", "1", "images"), {"image"}),
        # A saved picture is preferred, although a temporary one comes first.
        (
            {"1": {"images": [file("t.png", "temp")]}, "2": {"images": [file("a.png"), file("b.png")]}},
            3,
            ("a.png", "2", "images"),
            {"image"},
        ),
        # The extension decides: SaveVideo shows its film under "images".
        ({"1": {"images": [file("film.mp4")], "animated": (True,)}}, 1, ("film.mp4", "1", "images"), {"video"}),
        (
            {"1": {"audio": [file("a.flac")]}, "2": {"3d": [file("a.glb")]}},
            2,
            ("a.flac", "1", "audio"),
            {"audio", "3d"},
        ),
        # A latent counts as a file and is nothing to look at.
        ({"1": {"latents": [file("a.latent")]}}, 1, None, set()),
        ({"1": {"images": "not a list", "odd": [{"filename": 3}, "x", None]}}, 0, None, set()),
    ],
)
def test_summary(outputs: dict[str, Any], count: int, preview: tuple[str, str, str] | None, kinds: set[str]) -> None:
    summary = summarise(outputs)
    shown = summary.preview and tuple(summary.preview[key] for key in ("filename", "nodeId", "mediaType"))
    assert (summary.count, shown, summary.kinds) == (count, preview, kinds)
