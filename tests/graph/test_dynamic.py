"""Dynamic inputs: which are live for given values, and how they are nested for the node."""

from typing import Any

import pytest
from tests.graph.catalogue import core_nodes, node

from safelight.core.node import NodeSchema, Section
from safelight.graph.dynamic import LiveInputs, live_inputs, nest

COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"


def option(key: str, **inputs: Any) -> dict[str, Any]:
    return {"key": key, "inputs": {"required": inputs}}


def shown(schema: NodeSchema, values: dict[str, Any]) -> list[str]:
    """Return the live inputs, with a ``?`` after optional ones."""
    return [
        item.declared.id + ("?" if item.declared.section is Section.OPTIONAL else "")
        for item in live_inputs(schema, values)
        if not item.is_container
    ]


def test_a_node_without_dynamic_inputs_has_all_but_its_hidden_inputs() -> None:
    schema = node("A", {"image": "IMAGE", "mask?": "MASK"}, hidden="PROMPT UNIQUE_ID")
    assert shown(schema, {}) == ["image", "mask?"]


def test_hidden_inputs_of_unknown_type_come_from_the_prompt() -> None:
    """V1 packs declare values that their own expansions pass on as ``{"initial_value0": ("*",)}`` (GRAPH-15)."""
    schema = node("A", {"image": "IMAGE"}, hidden="PROMPT * UNIQUE_ID")
    assert shown(schema, {}) == ["image", "*?"]
    [_, own] = live_inputs(schema, {"*": 7})
    assert own.declared.type == "*"


@pytest.mark.parametrize(
    ("choice", "inputs"),
    [
        ("scale width", ["resize_type.width"]),
        ("scale dimensions", ["resize_type.crop", "resize_type.height", "resize_type.width"]),
        ("nope", []),
        (None, []),
        (["1", 0], []),
    ],
)
def test_a_choice_adds_its_inputs(choice: Any, inputs: list[str]) -> None:
    schema = core_nodes()["ResizeImageMaskNode"]
    assert shown(schema, {"resize_type": choice}) == ["input", "resize_type", *inputs, "scale_method"]


def test_a_choice_and_its_inputs_are_one_dict_for_the_node() -> None:
    schema = core_nodes()["ResizeImageMaskNode"]
    values = {"input": "I", "resize_type": "scale width", "resize_type.width": 11, "scale_method": "area"}
    assert nest(live_inputs(schema, values), values) == {
        "input": "I",
        "resize_type": {"resize_type": "scale width", "width": 11},
        "scale_method": "area",
    }


def test_a_list_that_grows_needs_its_minimum_and_takes_what_is_given() -> None:
    schema = core_nodes()["BatchImagesNode"]
    assert shown(schema, {}) == ["images.image0", "images.image1"]
    given = {f"images.image{n}": ["1", 0] for n in (0, 3, 49, 50)}
    assert shown(schema, given) == ["images.image0", "images.image1", "images.image3?", "images.image49?"]
    assert nest(live_inputs(schema, given), {"images.image0": "a", "images.image3": "b"}) == {
        "images": {"image0": "a", "image3": "b"}
    }


def test_a_list_may_be_empty_and_may_have_names() -> None:
    template = {"input": {"optional": {"x": ["INT", {}]}}, "names": ["left", "right"], "min": 0}
    schema = node("Named", {"sides": (AUTOGROW, {"template": template})})
    assert shown(schema, {}) == []
    assert nest(live_inputs(schema, {}), {}) == {"sides": {}}
    assert shown(schema, {"sides.right": 1}) == ["sides.right?"]


def test_an_optional_list_needs_nothing() -> None:
    template = {"input": {"required": {"x": ["INT", {}]}}, "prefix": "x", "min": 2, "max": 4}
    assert shown(node("Maybe", {"list?": (AUTOGROW, {"template": template})}), {"list.x1": 1}) == ["list.x1?"]


def test_choices_inside_choices_and_lists_inside_choices() -> None:
    inner = ["COMFY_DYNAMICCOMBO_V3", {"options": [option("deep", width=["INT", {}])]}]
    template = {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": 3}
    options = [option("outer", kind=inner), option("many", images=[AUTOGROW, {"template": template}])]
    schema = node("Nested", {"mode": (COMBO, {"options": options})})
    values = {"mode": "outer", "mode.kind": "deep", "mode.kind.width": 5}
    assert shown(schema, values) == ["mode", "mode.kind", "mode.kind.width"]
    assert nest(live_inputs(schema, values), values) == {
        "mode": {"mode": "outer", "kind": {"kind": "deep", "width": 5}}
    }
    values = {"mode": "many", "mode.images.image0": "a", "mode.images.image2": "b"}
    assert nest(live_inputs(schema, values), values) == {
        "mode": {"mode": "many", "images": {"image0": "a", "image2": "b"}}
    }


def test_a_list_of_choices() -> None:
    element = [COMBO, {"options": [option("wide", width=["INT", {}])]}]
    template = {"input": {"required": {"item": element}}, "prefix": "item", "min": 1, "max": 3}
    schema = node("Items", {"items": (AUTOGROW, {"template": template})})
    values = {"items.item0": "wide", "items.item0.width": 3}
    assert shown(schema, values) == ["items.item0", "items.item0.width"]
    assert nest(live_inputs(schema, values), values) == {"items": {"item0": {"item0": "wide", "width": 3}}}


def test_listed_combos_inside_options_are_combos() -> None:
    schema = node("Old", {"mode": (COMBO, {"options": [option("a", how=[["x", "y"]])]})})
    declared = live_inputs(schema, {"mode": "a"})[1].declared
    assert (declared.type, declared.options) == ("COMBO", ["x", "y"])


def test_keys_that_are_not_inputs_are_unchanged() -> None:
    schema = node("Any", {"a": "INT"})
    assert nest(live_inputs(schema, {}), {"a": 1, "extra.thing": 2}) == {"a": 1, "extra.thing": 2}


def test_the_inputs_of_a_plain_node_are_found_once() -> None:
    live = LiveInputs(core_nodes())
    assert live.of("EmptyImage", {}) is live.of("EmptyImage", {"width": 1})
    assert len(live.of("ResizeImageMaskNode", {"resize_type": "scale width"})) == 4
