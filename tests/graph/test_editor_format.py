"""From the editor's format to the graph in API format: widgets, reroutes, muted and bypassed nodes, subgraphs."""

from typing import Any

import pytest
from tests.graph.catalogue import core_nodes

from safelight.core.errors import InvalidPrompt
from safelight.graph.editor_format import to_prompt
from safelight.graph.prompt_format import Limits

CATALOGUE = core_nodes()


def node(number: int, kind: str, values: Any = (), *, mode: int = 0, links: dict[str, Any] | None = None, **more: Any):
    """``links``: by the name of the input; its type is that of the name, in capitals."""
    inputs = [{"name": name, "type": name.rstrip("s").upper(), "link": link} for name, link in (links or {}).items()]
    return {"id": number, "type": kind, "mode": mode, "inputs": inputs, "widgets_values": values, **more}


def outputs(*kinds: str) -> dict[str, Any]:
    return {"outputs": [{"name": kind, "type": kind} for kind in kinds]}


def link(number: int, origin: int, target: int, *, slot: int = 0, to: int = 0) -> list[Any]:
    return [number, origin, slot, target, to, "*"]


def convert(nodes: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    prompt = to_prompt({"nodes": nodes, "links": links, **more}, CATALOGUE)
    return {node_id: (one["class_type"], one["inputs"]) for node_id, one in prompt.items()}


EMPTY = node(1, "EmptyImage", [64, 32, 1, 7])
EMPTY_INPUTS = {"width": 64, "height": 32, "batch_size": 1, "color": 7}


def test_widgets_get_their_names_and_links_replace_them() -> None:
    found = convert([EMPTY, node(2, "SaveImage", ["p"], links={"images": 5})], [link(5, 1, 2)])
    assert found == {
        "1": ("EmptyImage", EMPTY_INPUTS),
        "2": ("SaveImage", {"filename_prefix": "p", "images": ["1", 0]}),
    }


def test_the_control_after_a_seed_is_no_value() -> None:
    values = [11, "randomize", 20, 8.0, "euler", "normal", 1.0]
    [(_, inputs)] = convert([node(3, "KSampler", values)], []).values()
    assert (inputs["seed"], inputs["steps"], inputs["cfg"], inputs["denoise"]) == (11, 20, 8.0, 1.0)
    without = convert([node(3, "KSampler", [11, 20, 8.0, "euler", "normal", 1.0])], [])
    assert without["3"][1] == inputs


def test_values_that_an_older_editor_did_not_store_are_the_defaults() -> None:
    [(_, inputs)] = convert([node(1, "EmptyImage", [64])], []).values()
    assert inputs == {"width": 64, "height": 512, "batch_size": 1, "color": 0}


def test_reroutes_primitives_and_notes_are_not_in_the_graph() -> None:
    nodes = [
        EMPTY,
        node(2, "Reroute", links={"": 1}),
        node(3, "Reroute", links={"": 2}),
        node(4, "SaveImage", ["p"], links={"images": 3, "filename_prefix": 4}),
        node(5, "PrimitiveNode", ["by a primitive", "fixed"]),
        node(6, "MarkdownNote", ["read me"]),
    ]
    found = convert(nodes, [link(1, 1, 2), link(2, 2, 3), link(3, 3, 4), link(4, 5, 4)])
    assert list(found) == ["1", "4"]
    assert found["4"][1] == {"filename_prefix": "by a primitive", "images": ["1", 0]}


def test_a_muted_node_is_left_out_with_its_links() -> None:
    found = convert([{**EMPTY, "mode": 2}, node(2, "SaveImage", ["p"], links={"images": 1})], [link(1, 1, 2)])
    assert found == {"2": ("SaveImage", {"filename_prefix": "p"})}


def test_a_bypassed_node_passes_on_its_input_of_the_same_type() -> None:
    bypassed = node(2, "ImageBlend", [0.5, "normal"], mode=4, links={"mask": None, "image": 1}, **outputs("IMAGE"))
    found = convert(
        [EMPTY, bypassed, node(3, "SaveImage", ["p"], links={"images": 2})], [link(1, 1, 2, to=1), link(2, 2, 3)]
    )
    assert found["3"][1]["images"] == ["1", 0]
    assert "2" not in found


SUBGRAPH = {
    "id": "the-subgraph",
    "inputs": [{"name": "width"}, {"name": "prefix"}],
    "outputs": [{"name": "IMAGE"}],
    "nodes": [
        node(1, "EmptyImage", [64, 32, 1, 7], links={"width": 1}),
        node(2, "ImageInvert", links={"image": 2}),
    ],
    "links": [
        {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0},
        {"id": 2, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0},
        {"id": 3, "origin_id": 2, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ],
}


def opened(instance: dict[str, Any], *more: Any, links: tuple[Any, ...] = ()) -> dict[str, Any]:
    nodes = [instance, node(9, "SaveImage", ["p"], links={"images": 50}), *more]
    return convert(nodes, [link(50, 7, 9), *links], definitions={"subgraphs": [SUBGRAPH]})


def test_a_subgraph_is_opened_with_the_ids_of_its_use() -> None:
    found = opened(node(7, "the-subgraph"))
    assert list(found) == ["7:1", "7:2", "9"]
    assert found["7:2"] == ("ImageInvert", {"image": ["7:1", 0]})
    assert found["9"][1]["images"] == ["7:2", 0]
    assert found["7:1"][1]["width"] == 64, "the value inside, where nothing outside sets it"


def test_a_use_of_a_subgraph_sets_its_inputs_by_a_value_or_a_link() -> None:
    widget = {"inputs": [{"name": "width", "type": "INT", "link": None, "widget": {"name": "width"}}]}
    assert opened({**node(7, "the-subgraph", [128]), **widget})["7:1"][1]["width"] == 128
    linked = opened(
        node(7, "the-subgraph", links={"width": 60}),
        node(8, "PrimitiveInt", [256, "fixed"]),
        links=(link(60, 8, 7),),
    )
    assert linked["7:1"][1]["width"] == ["8", 0]


def test_a_muted_use_of_a_subgraph_brings_none_of_its_nodes() -> None:
    assert list(opened(node(7, "the-subgraph", mode=2))) == ["9"]


def test_titles_are_kept() -> None:
    prompt = to_prompt({"nodes": [{**EMPTY, "title": "A field"}], "links": []}, CATALOGUE)
    assert prompt["1"]["_meta"] == {"title": "A field"}


def inside_itself() -> dict[str, Any]:
    again = {"id": "again", "nodes": [{"id": n, "type": "again"} for n in range(8)], "links": []}
    return {"nodes": [{"id": 1, "type": "again"}], "links": [], "definitions": {"subgraphs": [again]}}


def circle() -> dict[str, Any]:
    nodes = [node(1, "Reroute", links={"": 1}), node(2, "PreviewAny", links={"source": 1})]
    return {"nodes": nodes, "links": [link(1, 1, 1)]}


@pytest.mark.parametrize(
    "document", [{"nodes": [{"id": 1}]}, {"nodes": [EMPTY], "links": [[1]]}, inside_itself(), circle()]
)
def test_a_document_that_is_no_workflow_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidPrompt):
        to_prompt(document, CATALOGUE)


def test_a_workflow_that_grows_too_large_is_refused() -> None:
    nodes = [{"id": n, "type": "the-subgraph"} for n in range(100)]
    document = {"nodes": nodes, "links": [], "definitions": {"subgraphs": [SUBGRAPH]}}
    with pytest.raises(InvalidPrompt):
        to_prompt(document, CATALOGUE, limits=Limits(nodes=150))
