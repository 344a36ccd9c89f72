"""Prompts whose responses were captured from ComfyUI, and the responses here."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.graph.catalogue import core_nodes

from safelight.core.errors import InvalidPrompt
from safelight.graph.validate import validate

CASES = {case["case"]: case for case in json.loads((Path(__file__).parent / "data" / "prompt_cases.json").read_text())}

MENDED = {
    "prompt null": "ComfyUI answers 500",
    "unknown node type": "ComfyUI's type of error does not tell the web UI which nodes are missing",
    "unknown node type with _meta title": "the same",
    "two errors on one node": "ComfyUI's order is random",
    "literal where link is required": "ComfyUI fails at run time",
    "cycle": "ComfyUI says nothing",
    "self cycle": "ComfyUI says nothing",
    "cycle below two outputs": "ComfyUI says nothing",
}


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Return what a client receives: the node errors of an accepted prompt, or the error of a rejected one."""
    try:
        valid = validate(case["prompt"], core_nodes(), targets=case.get("targets"), file_exists=lambda name: False)
    except InvalidPrompt as refused:
        return {"status": 400, "answer": {"error": refused.error, "node_errors": refused.node_errors}}
    return {"status": 200, "node_errors": valid.node_errors}


@pytest.mark.parametrize("name", [name for name in CASES if name not in MENDED])
def test_answers_as_comfyui_does(name: str) -> None:
    case = CASES[name]
    expected = {k: v for k, v in case.items() if k in ("status", "answer", "node_errors")}
    assert answer(case) == expected


def test_every_deviating_case_was_captured() -> None:
    assert set(MENDED) <= set(CASES)


def test_null_is_not_a_prompt() -> None:
    assert answer(CASES["prompt null"]) == {
        "status": 400,
        "answer": {
            "error": {
                "type": "invalid_prompt",
                "message": "The prompt must be an object of nodes by id",
                "details": "received null",
                "extra_info": {},
            },
            "node_errors": {},
        },
    }


def test_errors_of_a_node_come_in_the_order_of_its_inputs() -> None:
    case = CASES["two errors on one node"]
    reported = answer(case)["answer"]
    captured = case["answer"]["node_errors"]["1"]["errors"]
    assert [e["details"] for e in reported["node_errors"]["1"]["errors"]] == ["width", "height"]
    assert reported["node_errors"]["1"]["errors"] == captured[::-1]


def test_a_literal_where_a_link_is_needed_is_rejected_before_the_run() -> None:
    reported = answer(CASES["literal where link is required"])["answer"]
    reason = "a link to an output of type IMAGE is needed, not a literal value"
    assert reported["node_errors"] == {
        "2": {
            "errors": [
                {
                    "type": "invalid_input_type",
                    "message": "Failed to convert an input value to a IMAGE value",
                    "details": f"images, hello, {reason}",
                    "extra_info": {
                        "input_name": "images",
                        "input_config": ["IMAGE", {}],
                        "received_value": "hello",
                        "exception_message": reason,
                    },
                }
            ],
            "dependent_outputs": ["2"],
            "class_type": "PreviewImage",
        }
    }


@pytest.mark.parametrize(
    ("name", "calls", "outputs"),
    [("cycle", ["1", "3"], ["2"]), ("self cycle", ["1"], ["2"]), ("cycle below two outputs", ["1", "2"], ["4"])],
)
def test_a_cycle_names_its_nodes(name: str, calls: list[str], outputs: list[str]) -> None:
    reported = answer(CASES[name])["answer"]
    assert set(reported["node_errors"]) == set(calls)
    path = None
    for entry in reported["node_errors"].values():
        [error] = entry["errors"]
        assert error["type"] == "dependency_cycle"
        assert entry["dependent_outputs"] == outputs
        path = error["details"]
    assert path is not None
    steps = path.split(" -> ")
    assert steps[0] == steps[-1]
    assert set(steps) == set(calls)
    assert reported["error"]["type"] == "prompt_outputs_failed_validation"
    assert reported["error"]["details"] == f"Dependency cycle detected: {path}"


def test_no_error_names_a_file_of_the_server() -> None:
    for case in CASES.values():
        assert "Traceback" not in json.dumps(answer(case))
        assert ".py" not in json.dumps(answer(case))
