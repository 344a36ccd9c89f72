"""Validation beyond the captured prompts: conversion, dynamic inputs, files, the node's own checks, limits."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from tests.graph.catalogue import core_nodes, node

from safelight.core.errors import InvalidPrompt
from safelight.core.node import NodeSchema
from safelight.graph.prompt_format import Limits
from safelight.graph.validate import ValidPrompt, validate

COMBO = ("COMBO", {"options": ["a", "b"]})
SMALL = [
    node("Number", {"n": ("INT", {"min": 0, "max": 9}), "f?": ("FLOAT", {"min": 0.0})}, "INT"),
    node("Text", {"text": "STRING"}, "STRING"),
    node("Flag", {"on": "BOOLEAN"}, "BOOLEAN"),
    node("Pick", {"one": COMBO, "several?": ("COMBO", {"options": ["a", "b"], "multiselect": True})}, "STRING"),
    node("Load", {"model": ("COMBO", {"options": ["sd/a.safetensors", "b.safetensors"]})}, "MODEL"),
    node("Image", {}, "IMAGE"),
    node("Either", {"x": "IMAGE,MASK"}, "IMAGE,MASK"),
    node("Paint", {"image": "IMAGE", "mask?": "MASK"}, "IMAGE"),
    node("Show", {"value": "*"}, output=True),
    node("Save", {"image": "IMAGE"}, output=True),
    node("Judged", {"n": ("INT", {"max": 1}), "m": ("INT", {"max": 1}), "x?": "IMAGE"}, "INT", has_validator=True,
         validated_inputs=("n",)),
    node("JudgesAll", {"n": ("INT", {"max": 1}), "c": COMBO}, "INT", has_validator=True, validated_inputs=("*",)),
    node("JudgesTypes", {"image": "IMAGE"}, "IMAGE", has_validator=True, validates_types=True),
]  # fmt: skip
CATALOGUE = core_nodes() | {schema.name: schema for schema in SMALL}


def graph(*nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a prompt of nodes numbered from 1, with an output that shows the last."""
    numbered = {str(n): {"class_type": name, "inputs": inputs} for n, (name, inputs) in enumerate(nodes, 1)}
    return numbered | {"out": {"class_type": "Show", "inputs": {"value": [str(len(nodes)), 0]}}}


def check(*nodes: tuple[str, dict[str, Any]], **options: Any) -> ValidPrompt:
    return validate(graph(*nodes), CATALOGUE, **options)


def errors(*nodes: tuple[str, dict[str, Any]], **options: Any) -> dict[str, list[tuple[str, str]]]:
    """Return type and details of each error, by node."""
    with pytest.raises(InvalidPrompt) as refused:
        check(*nodes, **options)
    return {
        node_id: [(error["type"], error["details"]) for error in entry["errors"]]
        for node_id, entry in refused.value.node_errors.items()
    }


@pytest.mark.parametrize(
    ("name", "given", "converted"),
    [
        ("n", "7", 7),
        ("n", 7.9, 7),
        ("n", True, 1),
        ("n", {"__value__": "7"}, 7),
        ("f", "1.5", 1.5),
        ("f", 2, 2.0),
    ],
)
def test_numbers_are_converted(name: str, given: Any, converted: Any) -> None:
    valid = check(("Number", {"n": 1} | {name: given}))
    value = valid.prompt["1"]["inputs"][name]
    assert (value, type(value)) == (converted, type(converted))


@pytest.mark.parametrize(("given", "text"), [(5, "5"), (None, "None"), ({"a": 1}, "{'a': 1}")])
def test_anything_can_be_text(given: Any, text: str) -> None:
    assert check(("Text", {"text": given})).prompt["1"]["inputs"] == {"text": text}


@pytest.mark.parametrize(("given", "on"), [("false", True), ("", False), (0, False), (None, False)])
def test_any_non_empty_value_is_true(given: Any, on: bool) -> None:
    assert check(("Flag", {"on": given})).prompt["1"]["inputs"] == {"on": on}


def test_the_clients_prompt_is_not_changed() -> None:
    prompt = graph(("Number", {"n": "3"}))
    prompt["1"]["_meta"] = {"title": "mine"}
    valid = validate(prompt, CATALOGUE)
    assert prompt["1"]["inputs"] == {"n": "3"}
    assert valid.prompt["1"] == {"class_type": "Number", "inputs": {"n": 3}, "_meta": {"title": "mine"}}
    assert list(valid.prompt) == ["1", "out"]


@pytest.mark.parametrize("value", [float("nan"), "nan", "inf", 1e400, "1" * 5_000, [], {}, "0x10"])
def test_a_value_that_is_not_an_integer_is_rejected(value: Any) -> None:
    [[kind, _]] = errors(("Number", {"n": {"__value__": value}}))["1"]
    assert kind == "invalid_input_type"


def test_nan_is_outside_every_range() -> None:
    [[kind, details]] = errors(("Number", {"n": 1, "f": float("nan")}))["1"]
    assert (kind, details) == ("invalid_input_type", "f, nan, not a number, and the input has a range")


def test_a_wrapped_list_is_a_literal_and_stays_one() -> None:
    valid = check(("Pick", {"one": "a", "several": {"__value__": ["a", "b"]}}))
    assert valid.prompt["1"]["inputs"]["several"] == {"__value__": ["a", "b"]}
    reported = errors(("Pick", {"one": "a", "several": {"__value__": ["a", "c"]}}))
    assert reported == {"1": [("value_not_in_list", "several: '['a', 'c']' not in ['a', 'b']")]}


def test_a_backslash_in_the_name_of_a_model_is_a_slash() -> None:
    """Workflows from Windows name files this way (MODEL-11); loaders accept both."""
    assert check(("Load", {"model": "sd\\a.safetensors"})).prompt["1"]["inputs"] == {"model": "sd/a.safetensors"}
    [[kind, _]] = errors(("Load", {"model": "sd\\b.safetensors"}))["1"]
    assert kind == "value_not_in_list"


def test_all_errors_are_reported_together_in_the_order_of_the_inputs() -> None:
    reported = errors(("Number", {"f": -1, "n": "x"}), ("Pick", {"several": ["1", 0, 0]}), ("Either", {"x": ["2", 0]}))
    assert reported == {
        "2": [
            ("required_input_missing", "one"),
            ("bad_linked_input", "several"),
        ],
        "3": [("return_type_mismatch", "x, received_type(STRING) mismatch input_type(IMAGE,MASK)")],
    }


@pytest.mark.parametrize(
    ("value", "kind"), [("hello", "invalid_input_type"), (None, "invalid_input_type"), (5, "invalid_input_type")]
)
def test_a_literal_image_is_rejected(value: Any, kind: str) -> None:
    assert [e[0] for e in errors(("Paint", {"image": value}))["1"]] == [kind]


def test_null_means_an_optional_input_that_is_not_connected() -> None:
    valid = check(("Image", {}), ("Paint", {"image": ["1", 0], "mask": None}))
    assert valid.prompt["2"]["inputs"]["mask"] is None


def test_unions_and_match_types() -> None:
    switch = {"switch": True, "on_true": ["1", 0], "on_false": ["1", 0]}
    check(("Image", {}), ("Either", {"x": ["1", 0]}), ("Paint", {"image": ["2", 0]}))
    check(("Image", {}), ("ComfySwitchNode", switch), ("Paint", {"image": ["2", 0]}))
    reported = errors(("Text", {"text": "x"}), ("ComfySwitchNode", switch), ("Paint", {"image": ["2", 0]}))
    assert reported == {"3": [("return_type_mismatch", "image, received_type(STRING) mismatch input_type(IMAGE)")]}
    reported = errors(("Text", {"text": "x"}), ("ResizeImageMaskNode", {
        "input": ["1", 0], "resize_type": "scale width", "resize_type.width": 4, "scale_method": "area",
    }))  # fmt: skip
    assert reported == {"2": [("return_type_mismatch", "input, received_type(STRING) mismatch input_type(IMAGE,MASK)")]}


def test_dynamic_inputs_are_checked_under_their_flat_names() -> None:
    resize = {"input": ["1", 0], "scale_method": "area"}
    reported = errors(("Image", {}), ("ResizeImageMaskNode", resize | {"resize_type": "scale width"}))
    assert reported == {"2": [("required_input_missing", "resize_type.width")]}
    reported = errors(
        ("Image", {}), ("ResizeImageMaskNode", resize | {"resize_type": "scale width", "resize_type.width": -1})
    )
    assert reported == {"2": [("value_smaller_than_min", "resize_type.width")]}
    [[kind, details]] = errors(("Image", {}), ("ResizeImageMaskNode", resize | {"resize_type": "nope"}))["2"]
    assert kind == "value_not_in_list"
    assert details.startswith("resize_type: 'nope' not in ['scale by multiplier', ")
    reported = errors(("Image", {}), ("BatchImagesNode", {"images.image0": ["1", 0]}))
    assert reported == {"2": [("required_input_missing", "images.image1")]}
    check(("Image", {}), ("BatchImagesNode", {"images.image0": ["1", 0], "images.image1": ["1", 0]}))


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("LoadImage", "image", "Invalid image file"),
        ("LoadVideo", "file", "Invalid video file"),
        ("LoadAudio", "audio", "Invalid audio file"),
    ],
)
def test_uploaded_files_must_exist(name: str, key: str, words: str) -> None:
    known = {"a.png", "sub/b.png [output]"}.__contains__
    check((name, {key: "a.png"}), file_exists=known)
    check((name, {key: "sub/b.png [output]"}), file_exists=known)
    reported = errors((name, {key: "nope"}), file_exists=known)
    assert reported == {"1": [("custom_validation_failed", f"{key} - {words}: nope")]}
    reported = errors((name, {key: 5}), file_exists=known)
    assert reported == {"1": [("custom_validation_failed", f"{key} - {words}: 5")]}


def test_without_a_lookup_of_files_no_name_is_rejected() -> None:
    check(("LoadImage", {"image": "nope.png"}))


class FakeValidator:
    """A validator that records its calls."""

    def __init__(self, verdict: bool | str = True) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, str, dict[str, Any], dict[str, str]]] = []

    def __call__(
        self, node_id: str, schema: NodeSchema, arguments: Mapping[str, Any], received_types: Mapping[str, str]
    ) -> bool | str:
        self.asked.append((node_id, schema.name, dict(arguments), dict(received_types)))
        return self.verdict


def test_the_nodes_own_check_replaces_range_checks() -> None:
    node_validator = FakeValidator()
    check(("Judged", {"n": "99", "m": 1}), node_validator=node_validator)
    assert node_validator.asked == [("1", "Judged", {"n": 99}, {})]
    assert errors(("Judged", {"n": 99, "m": 99})) == {"1": [("value_bigger_than_max", "m")]}
    check(("JudgesAll", {"n": 99, "c": "z"}))
    check(("Text", {"text": "x"}), ("JudgesTypes", {"image": ["1", 0]}))


def test_the_nodes_own_check_receives_source_types_and_is_skipped_after_other_errors() -> None:
    node_validator = FakeValidator()
    check(("Text", {"text": "x"}), ("JudgesTypes", {"image": ["1", 0]}), node_validator=node_validator)
    assert node_validator.asked == [("2", "JudgesTypes", {}, {"image": "STRING"})]
    node_validator = FakeValidator()
    errors(("Judged", {"n": "x", "m": 1}), node_validator=node_validator)
    assert node_validator.asked == []


@pytest.mark.parametrize(("verdict", "details"), [("n is odd", "{} - n is odd"), (False, "{}")])
def test_a_rejection_is_reported_once_per_input_of_the_check(verdict: bool | str, details: str) -> None:
    reported = errors(("JudgesAll", {"n": 1, "c": "a"}), node_validator=FakeValidator(verdict))
    assert reported == {"1": [("custom_validation_failed", details.format(name)) for name in ("n", "c")]}


def test_an_undeclared_link_is_checked_above_and_ignored_where_it_leads_nowhere() -> None:
    check(("Image", {}), ("Paint", {"image": ["1", 0], "extra": ["99", 0]}))
    reported = errors(("Number", {"n": -1}), ("Image", {"extra": ["1", 0]}))
    assert reported == {"1": [("value_smaller_than_min", "n")]}


def test_a_bad_link_upstream_is_reported_at_its_node() -> None:
    with pytest.raises(InvalidPrompt) as refused:
        check(("Paint", {"image": ["9", 0]}), ("Paint", {"image": ["1", 0]}))
    [error] = refused.value.node_errors["1"]["errors"]
    assert error == {
        "type": "exception_during_inner_validation",
        "message": "Exception when validating inner node",
        "details": "'9'",
        "extra_info": {
            "input_name": "image",
            "input_config": ["IMAGE", {}],
            "exception_message": "'9'",
            "exception_type": "KeyError",
            "traceback": [],
            "linked_node": ["1", 0],
        },
    }
    assert refused.value.error["details"] == ""


@pytest.mark.parametrize(
    ("link", "details"),
    [
        (["1", -1], "tuple index out of range"),
        (["1", "0"], "tuple indices must be integers or slices, not str"),
        (["1", True], "tuple indices must be integers or slices, not bool"),
        ([["1"], 0], "['1']"),
    ],
)
def test_links_that_lead_nowhere(link: Any, details: str) -> None:
    assert errors(("Image", {}), ("Paint", {"image": link}))["2"] == [("exception_during_inner_validation", details)]


def two_outputs() -> dict[str, Any]:
    return {
        "1": {"class_type": "Image", "inputs": {}},
        "2": {"class_type": "Save", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "Save", "inputs": {}},
    }


def test_valid_outputs_run_although_others_are_invalid() -> None:
    valid = validate(two_outputs(), CATALOGUE)
    assert valid.targets == ["2"]
    assert list(valid.node_errors) == ["3"]


def test_partial_execution_validates_its_targets_only() -> None:
    valid = validate(two_outputs(), CATALOGUE, targets=["2", "1", "nope"])
    assert (valid.targets, valid.node_errors) == (["2"], {})
    with pytest.raises(InvalidPrompt) as refused:
        validate(two_outputs(), CATALOGUE, targets=["3"])
    assert refused.value.error["details"] == "Required input is missing: image"


def test_a_node_that_several_outputs_depend_on_names_them_all() -> None:
    prompt = graph(("Number", {"n": -1}))
    prompt |= {f"o{n}": {"class_type": "Show", "inputs": {"value": ["1", 0]}} for n in range(3)}
    with pytest.raises(InvalidPrompt) as refused:
        validate(prompt, CATALOGUE)
    assert refused.value.node_errors["1"]["dependent_outputs"] == ["out", "o0", "o1", "o2"]


def test_an_output_outside_the_cycle_runs() -> None:
    prompt = graph(("Paint", {"image": ["1", 0]})) | {"5": {"class_type": "Image", "inputs": {}}}
    prompt["6"] = {"class_type": "Save", "inputs": {"image": ["5", 0]}}
    valid = validate(prompt, CATALOGUE)
    assert valid.targets == ["6"]
    assert valid.node_errors["1"]["errors"][0]["details"] == "1 -> 1"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "The prompt must be an object of nodes by id"),
        ("text", "The prompt must be an object of nodes by id"),
        ([1], "The prompt must be an object of nodes by id"),
        ({"1": None}, "Cannot execute because a node is missing the class_type property."),
        ({"1": {"class_type": ["a"]}}, "Cannot execute because node ['a'] does not exist."),
        ({"1": {"class_type": {}}}, "Cannot execute because node {} does not exist."),
        ({"1": {"class_type": "Save", "inputs": []}}, "Cannot execute because a node's inputs are not an object."),
        ({"1": {"class_type": "Save", "inputs": None}}, "Cannot execute because a node's inputs are not an object."),
        ({1: {"class_type": "Save", "inputs": {}}}, "Cannot execute because a node's id is not a string."),
    ],
)
def test_a_malformed_graph_is_rejected_with_a_message(prompt: Any, message: str) -> None:
    with pytest.raises(InvalidPrompt) as refused:
        validate(prompt, CATALOGUE)
    assert (refused.value.error["type"], refused.value.error["message"]) == ("invalid_prompt", message)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(("levels", "fits"), [(5, True), (6, False)])
def test_nesting_of_values_is_limited(levels: int, fits: bool) -> None:
    prompt = graph(("Text", {"text": "x", "extra": deep(levels)}))
    if fits:
        validate(prompt, CATALOGUE, limits=Limits(depth=10))
    else:
        with pytest.raises(InvalidPrompt, match="nested too deeply"):
            validate(prompt, CATALOGUE, limits=Limits(depth=10))


def test_very_deep_values_are_rejected_without_recursion() -> None:
    with pytest.raises(InvalidPrompt, match="nested too deeply"):
        check(("Text", {"text": deep(5_000)}))


def chain(length: int) -> dict[str, Any]:
    prompt: dict[str, Any] = {"0": {"class_type": "Image", "inputs": {}}}
    for n in range(1, length - 1):
        prompt[str(n)] = {"class_type": "Paint", "inputs": {"image": [str(n - 1), 0]}}
    return prompt | {"out": {"class_type": "Save", "inputs": {"image": [str(length - 2), 0]}}}


def test_ten_thousand_nodes_are_validated_in_time() -> None:
    """It takes half a second of an idle core; a quadratic algorithm takes minutes."""
    prompt = chain(10_000)
    began = time.process_time()
    valid = validate(prompt, CATALOGUE)
    assert time.process_time() - began < 10.0
    assert valid.targets == ["out"]


def test_errors_of_ten_thousand_nodes_are_bounded() -> None:
    prompt = {
        str(n): {"class_type": "Save", "inputs": {"image": "x"}} if n % 2 else {"class_type": "Number", "inputs": {}}
        for n in range(10_000)
    }
    for n in range(1, 10_000, 2):
        prompt[str(n)]["inputs"] = {"image": ["0", 0], "extra": [str(n - 1), 0]}
    with pytest.raises(InvalidPrompt) as refused:
        validate(prompt, CATALOGUE)
    reported = refused.value.node_errors
    assert len(reported) == Limits().reported_nodes
    assert len(reported["0"]["dependent_outputs"]) == Limits().reported_outputs


def test_one_node_more_is_too_many() -> None:
    with pytest.raises(InvalidPrompt, match="too many nodes"):
        validate(chain(10_001), CATALOGUE)
    assert validate(chain(101), CATALOGUE, limits=Limits(nodes=101)).targets == ["out"]


SAVES = [
    node("SaveText", {"text": "STRING", "filename_prefix": "STRING"}, output=True),
    node("PackSaves", {"text": "STRING", "filename_prefix": "STRING"}, output=True, module="custom_nodes.pack"),
]


@pytest.mark.parametrize("prefix", ["", ".", "..", "a/../b", "/a", "\\a", "a\0b", "x" * 300, "C:/a", "%date:yy%/../a"])
def test_an_invalid_file_name_prefix_is_rejected(prefix: str) -> None:
    catalogue = CATALOGUE | {schema.name: schema for schema in SAVES}
    prompt = {"1": {"class_type": "SaveText", "inputs": {"text": "x", "filename_prefix": prefix}}}
    with pytest.raises(InvalidPrompt) as refused:
        validate(prompt, catalogue)
    [error] = refused.value.node_errors["1"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert repr(prefix) in error["details"]
    validate({"1": prompt["1"] | {"class_type": "PackSaves"}}, catalogue)


@pytest.mark.parametrize("prefix", ["a", "a/b", "%date:yyyy-MM-dd%/a", "a b.c", "ü", "a\\b"])
def test_a_valid_file_name_prefix_is_accepted(prefix: str) -> None:
    catalogue = CATALOGUE | {schema.name: schema for schema in SAVES}
    validate({"1": {"class_type": "SaveText", "inputs": {"text": "x", "filename_prefix": prefix}}}, catalogue)


def test_a_missing_node_is_named() -> None:
    prompt = {"7": {"class_type": "Nope", "inputs": {}, "_meta": {"title": "My node"}}}
    with pytest.raises(InvalidPrompt) as refused:
        validate(prompt, CATALOGUE)
    error = refused.value.error
    assert error["type"] == "missing_node_type"
    assert error["extra_info"] == {"node_id": "7", "class_type": "Nope", "node_title": "My node"}


def test_a_workflow_of_the_editor_is_rejected_with_a_hint() -> None:
    with pytest.raises(InvalidPrompt) as refused:
        validate({"nodes": [{"id": 1, "type": "Show"}], "links": [], "version": 0.4}, CATALOGUE)
    assert "export it as API" in refused.value.error["details"]
