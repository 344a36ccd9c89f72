"""Every node's interface against ComfyUI's: names, inputs in order with their options, outputs, category, flags."""

import json
from typing import Any

import pytest
from tests.golden.vectors import FOLDER

import safelight.nodes
from safelight.api.comfy.object_info import node_info
from safelight.sdk.registry import discover

MEASURED: dict[str, dict[str, Any]] = json.loads((FOLDER / "object_info.json").read_text())
NODES = discover(safelight.nodes)

PLAIN = {"multiselect": False, "multiline": False, "dynamicPrompts": False, "image_folder": "input"}
"""Options that say what holds without them; ComfyUI's two APIs differ in writing them."""

NOT_MEASURED = {"tooltip", "model_folder", "advanced"}
"""Options that the measured data lacks."""

MODEL_FILES = {"sd15_random.safetensors", "pixel_space"}
"""Those of the machine that was measured."""

ADDED_SINCE: dict[str, tuple[set[str], int]] = {
    "CustomCombo": ({"index"}, 1),
    "LTXAVTextEncoderLoader": ({"device"}, 0),
    "ModelSamplingAuraFlow": ({"sampling"}, 0),
    "PreviewAny": (set(), 1),
}
"""Optional inputs, and the number of last outputs, that later versions of ComfyUI added and published workflows use."""

CHOICES_ADDED_SINCE: dict[str, dict[str, set[str]]] = {
    "CLIPLoader": {
        "type": {
            "longcat_image",
            "cogvideox",
            "lens",
            "pixeldit",
            "ideogram4",
            "boogu",
            "krea2",
            "joyimage",
            "mage",
            "minimax",
            "yue2",
            "flux3",
            "moss_image",
            "fibo2",
        }
    }
}
"""Choices of an input that later versions of ComfyUI added."""


@pytest.mark.parametrize("name", sorted(NODES.keys() & MEASURED.keys()))
def test_interface(name: str) -> None:
    ours = _without_additions(name, node_info(NODES[name].node_schema(), []))
    theirs = MEASURED[name]
    assert _inputs(ours) == _inputs(theirs)
    assert ours["input_order"] == {"required": [], **theirs["input_order"]}
    assert _output_types(ours) == _output_types(theirs)
    for key in ("output_name", "output_node", "category", "name"):
        assert ours[key] == theirs[key], key
    lists = zip(ours["output_is_list"], theirs["output_is_list"], strict=True)
    assert all(one == other for one, other in lists if other is not None)  # ComfyUI omits some
    assert ours["display_name"] == (theirs["display_name"] or theirs["name"])
    for key in ("deprecated", "experimental", "api_node"):
        assert ours[key] == theirs.get(key, False), key
    assert ours.get("output_matchtypes") == theirs.get("output_matchtypes")


@pytest.mark.parametrize("name", sorted(NODES.keys()))
def test_has_a_description(name: str) -> None:
    assert len(NODES[name].node_schema().description) >= 10


def _without_additions(name: str, info: dict[str, Any]) -> dict[str, Any]:
    for given, added in CHOICES_ADDED_SINCE.get(name, {}).items():
        (section,) = (section for section in info["input"].values() if given in section)
        assert added <= set(section[given][0])
        section[given][0] = [choice for choice in section[given][0] if choice not in added]
    if name not in ADDED_SINCE:
        return info
    inputs, outputs = ADDED_SINCE[name]
    assert inputs <= info["input"].get("optional", {}).keys()
    rest = {section: {k: v for k, v in given.items() if k not in inputs} for section, given in info["input"].items()}
    rest = {section: given for section, given in rest.items() if given}
    fewer = {key: info[key][: len(info[key]) - outputs] for key in ("output", "output_name", "output_is_list")}
    return {**info, **fewer, "input": rest, "input_order": {section: list(given) for section, given in rest.items()}}


def _inputs(info: dict[str, Any]) -> dict[str, Any]:
    sections = {"required": {}, **info["input"]}
    return {section: {name: _input(i) for name, i in inputs.items()} for section, inputs in sections.items()}


def _input(written: Any) -> Any:
    """``["IMAGE"]`` and ``["IMAGE", {}]`` are equal; the options of a combo of files are ignored."""
    if isinstance(written, str):
        return [written, {}]
    kind, config = [*written, {}][:2]
    config = {k: v for k, v in config.items() if k not in NOT_MEASURED and PLAIN.get(k) != v}
    lists_files = "model_folder" in [*written, {}][1] or any(k.endswith("_upload") for k in config)
    listed = [*map(str, config.get("options", []))] if kind == "COMBO" else []
    lists_files = lists_files or (bool(listed) and MODEL_FILES.issuperset(listed))
    if lists_files or (isinstance(kind, list) and MODEL_FILES.issuperset(map(str, kind))):
        kind = [] if isinstance(kind, list) else kind
        config.pop("options", None)
    if config.get("options") == []:
        del config["options"]
    # Bounds that JSON cannot hold exactly are sent as floats.
    config = {k: float(v) if type(v) is int and abs(v) >= 2**63 else v for k, v in config.items()}
    if "template" in config:
        config["template"] = _template(config["template"])
    if kind == "COMFY_DYNAMICCOMBO_V3":
        config["options"] = [{"key": o["key"], "inputs": _inputs({"input": o["inputs"]})} for o in config["options"]]
    return [kind, config]


def _template(template: dict[str, Any]) -> dict[str, Any]:
    if "input" not in template:
        return template
    return template | {"input": _inputs({"input": template["input"]})}


def _output_types(info: dict[str, Any]) -> list[Any]:
    return ["COMBO" if isinstance(o, list) else o for o in info["output"]]
