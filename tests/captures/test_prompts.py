"""The 52 captured submissions, in order, and the history and job lists of the accepted ones."""

import json
from typing import Any

import pytest
from tests.captures.client import Answer, ask, listening, wait_until_idle
from tests.captures.compare import differences, expected, load

DATA = load("prompts")
CASES = {case["case"]: case for case in DATA["cases"]}
HISTORY = {case["case"]: case for case in DATA["history"]}
LISTS = {case["request"]: case for case in DATA["jobs"]}


@pytest.fixture(scope="module")
def answers(url: str) -> dict[str, Answer]:
    """The responses by case; all jobs have ended."""
    with listening(url) as socket:
        answers = {name: _submit(url, case) for name, case in CASES.items()}
        wait_until_idle(url, socket)
    return answers


@pytest.mark.parametrize("name", CASES)
def test_submit(answers: dict[str, Answer], name: str) -> None:
    told, wanted = answers[name], expected(CASES[name])
    assert told.status == wanted["status"], told.body
    assert told.headers["content-type"].startswith("application/json")
    assert list(differences(wanted["answer"], told.json)) == []


@pytest.mark.parametrize("name", HISTORY)
def test_history(url: str, answers: dict[str, Answer], name: str) -> None:
    wanted, told = expected(HISTORY[name]), answers[name].json
    if wanted["answer"] is None:
        assert "prompt_id" not in told
        return
    job_id = told["prompt_id"]
    shown = ask(url, f"GET /history/{job_id}").json[job_id]
    assert list(differences(wanted["answer"], shown)) == []
    assert ask(url, "GET /history").json[job_id] == shown


def test_history_has_all_that_were_accepted_and_no_more(url: str, answers: dict[str, Answer]) -> None:
    accepted = {answer.json["prompt_id"] for answer in answers.values() if answer.status == 200}
    assert ask(url, "GET /history").json.keys() == accepted
    assert len(accepted) == sum(expected(case)["answer"] is not None for case in HISTORY.values())


@pytest.mark.parametrize("request_line", LISTS)
def test_job_lists(url: str, answers: dict[str, Answer], request_line: str) -> None:
    wanted = expected(LISTS[request_line])
    told = ask(url, request_line)
    assert told.status == wanted["status"]
    assert list(differences(wanted["answer"], told.json, adds=wanted.get("adds", ()))) == []


def _submit(url: str, case: dict[str, Any]) -> Answer:
    body = case["raw"] if "raw" in case else json.dumps(case["body"])
    return ask(
        url, "POST /prompt", body.encode(), headers={"content-type": case.get("content_type", "application/json")}
    )
