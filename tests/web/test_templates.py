"""The list of templates says what runs on this server, and has it first."""

import json
from pathlib import Path
from typing import Any

from safelight.web.templates import DOES_NOT_RUN, NEEDS_MODELS, RUNS, Here, TemplateIndex


def write(folder: Path, **graphs: dict[str, Any]) -> TemplateIndex:
    for name, graph in graphs.items():
        (folder / f"{name}.json").write_text(json.dumps(graph))
    templates = [{"name": name, "description": name, "tags": ["Image"], "usage": 10} for name in graphs]
    (folder / "index.json").write_text(json.dumps([{"title": "Image", "templates": templates}]))
    return TemplateIndex([folder])


def here(*nodes: str, models: tuple[tuple[str, str], ...] = (), version: str = "1") -> Here:
    return Here(version, nodes, lambda folder, name: (folder, name) in models)


def marks(index: TemplateIndex, folder: Path, there: Here) -> dict[str, dict[str, Any]]:
    [category] = json.loads(index.marked(folder / "index.json", there))
    return {template["name"]: template for template in category["templates"]}


LOADER = {"type": "Loader", "properties": {"models": [{"directory": "vae", "name": "a.safetensors"}]}}
SUBGRAPH = {"id": "5e0f", "nodes": [{"type": "Inside"}]}


def test_what_runs_here_comes_first_and_the_rest_says_what_it_lacks(tmp_path: Path) -> None:
    index = write(
        tmp_path,
        unknown={"nodes": [{"type": "Unknown"}, {"type": "Save"}]},
        loading={"nodes": [LOADER]},
        inner={"nodes": [{"type": "5e0f"}, {"type": "MarkdownNote"}], "definitions": {"subgraphs": [SUBGRAPH]}},
    )
    found = marks(index, tmp_path, here("Save", "Loader", "Inside"))
    assert [(name, found[name]["tags"]) for name in found] == [
        ("inner", [RUNS, "Image"]),
        ("loading", [NEEDS_MODELS, "Image"]),
        ("unknown", [DOES_NOT_RUN, "Image"]),
    ]
    assert found["unknown"]["description"].startswith("Does not run here: this server does not have Unknown.")
    assert found["inner"]["usage"] > 2 * found["loading"]["usage"] > found["unknown"]["usage"]


def test_the_list_follows_new_nodes_and_models(tmp_path: Path) -> None:
    index = write(tmp_path, inner={"nodes": [{"type": "New"}]}, loading={"nodes": [LOADER]})
    assert marks(index, tmp_path, here("Loader"))["inner"]["tags"][0] == DOES_NOT_RUN
    after = marks(index, tmp_path, here("New", "Loader", models=(("vae", "a.safetensors"),), version="2"))
    assert {template["tags"][0] for template in after.values()} == {RUNS}


def test_only_lists_of_templates_are_marked(tmp_path: Path) -> None:
    index = TemplateIndex([tmp_path])
    assert index.is_index("/templates/index.json")
    assert index.is_index("/templates/index.zh-TW.json")
    assert not index.is_index("/templates/index_logo.json")
    assert not index.is_index("/templates/other.json")
