"""The captured runs of the graphs that ComfyUI's own tests are made of: expansion, lazy inputs, blockers, a cycle and
nodes that run at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.captures.client import Answer, ask, is_over, listening, post
from tests.captures.compare import differences, expected, load
from tests.captures.transcript import lines, misshapen, replaced, stepping

SCENARIOS, SHAPES = load("graphs"), load("shapes")
RUNS = [name for name, scenario in SCENARIOS.items() if "client" in scenario]


@dataclass
class Replay:
    """Mutable while it is filled: the responses and messages by scenario."""

    answers: dict[str, Answer] = field(default_factory=dict)
    heard: dict[str, Sequence[Any]] = field(default_factory=dict)

    def job_id(self, name: str) -> str:
        return str(self.answers[name].json["prompt_id"])


@pytest.fixture(scope="module")
def replay(url: str) -> Replay:
    replay = Replay()
    with listening(url, "A") as client:
        client.take()
        for name, scenario in SCENARIOS.items():
            replay.answers[name] = post(url, "/prompt", scenario["body"])
            if replay.answers[name].status == 200:
                replay.heard[name] = client.until(is_over)
    return replay


@pytest.mark.parametrize("name", RUNS)
def test_messages(replay: Replay, name: str) -> None:
    wanted, heard = SCENARIOS[name]["client"], replay.heard[name]
    assert list(differences(list(replaced(wanted["heard"], wanted["mended"])), lines(heard))) == []
    assert stepping(heard) == wanted["steps"]
    assert misshapen(heard, SHAPES) == []


@pytest.mark.parametrize("name", RUNS)
def test_history(url: str, replay: Replay, name: str) -> None:
    job_id = replay.job_id(name)
    shown = ask(url, f"GET /history/{job_id}").json[job_id]
    assert list(differences(expected(SCENARIOS[name]["history"])["answer"], shown)) == []


@pytest.mark.parametrize("name", RUNS)
def test_job(url: str, replay: Replay, name: str) -> None:
    wanted = expected(SCENARIOS[name]["job"])
    shown = ask(url, f"GET /api/jobs/{replay.job_id(name)}").json
    assert list(differences(wanted["answer"], shown, adds=wanted["adds"])) == []


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in RUNS])
def test_refused(replay: Replay, name: str) -> None:
    wanted, told = expected(SCENARIOS[name]), replay.answers[name]
    assert told.status == wanted["status"]
    assert list(differences(wanted["answer"], told.json)) == []
