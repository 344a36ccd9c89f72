"""The official workflows whose nodes are all here are valid graphs once they are converted from the editor's format."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import safelight.nodes
from safelight.core.errors import InvalidPrompt
from safelight.graph.editor_format import to_prompt
from safelight.graph.validate import validate
from safelight.sdk.registry import discover

CATALOGUE = {name: node.node_schema() for name, node in discover(safelight.nodes).items()}
PACKAGE = "comfyui_workflow_templates_json"
NOT_HERE = "value_not_in_list"
"""A model file that this machine does not have."""
KNOWN = {
    "image_anima_lllite_any_control_to_image.json": "PreviewImage has an output in newer versions of ComfyUI",
    "image_anima_lllite_depth_control_to_image.json": "the same",
    "image_anima_lllite_image_inpainting.json": "the same",
    "image_qwen_image_2_1_turbo_image_edit.json": "a batch may be of one image in newer versions of ComfyUI",
    "video_ltx2_i2v_lora.json": "the film of its subgraph is not found by the conversion",
}


def workflows() -> dict[str, Any]:
    spec = find_spec(PACKAGE)
    folders = [Path(folder) / "templates" for folder in spec.submodule_search_locations or ()] if spec else []
    found = {path.name: json.loads(path.read_text("utf-8")) for folder in folders for path in folder.glob("*.json")}
    return {name: one for name, one in found.items() if isinstance(one, dict) and "nodes" in one}


def test_official_workflows_become_valid_graphs() -> None:
    found = workflows()
    if not found:
        pytest.skip("the official workflows are not installed (the extra web)")
    converted, wrong = 0, {}
    for name, document in found.items():
        prompt = to_prompt(document, CATALOGUE)
        if not all(node["class_type"] in CATALOGUE for node in prompt.values()):
            continue
        converted += 1
        try:
            errors = validate(prompt, CATALOGUE, targets=None, file_exists=lambda name: True).node_errors
        except InvalidPrompt as error:
            errors = error.node_errors
        kinds = {one["type"] for node in errors.values() for one in node["errors"]} - {NOT_HERE}
        if kinds:
            wrong[name] = kinds
    assert wrong.keys() == KNOWN.keys(), wrong
    assert converted >= 90
