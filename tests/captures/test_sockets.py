"""The captured scenarios of ``/ws``, in order, with a real engine: types, order and forms of the messages."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.captures.client import Answer, Socket, ask, is_idle, is_over, listening, picture, post, submit, upload
from tests.captures.compare import differences, expected, load
from tests.captures.transcript import lines, misshapen, replaced

DATA, SHAPES = load("sockets"), load("shapes")
SCENARIOS = DATA["scenarios"]
HISTORY = {case["scenario"]: case for case in DATA["history"]}
FLAGS = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})


@dataclass
class Replay:
    """Mutable while it is filled: the responses, and the messages by listener; each by scenario."""

    flags: Any = None
    answers: dict[str, Answer] = field(default_factory=dict)
    heard: dict[tuple[str, str], Sequence[Any]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def replay(url: str) -> Replay:
    for name, color in DATA["pictures"].items():
        assert upload(url, "/upload/image", {}, {"image": (name, "image/png", picture(color))}).status == 200
    replay = Replay()
    with listening(url, "A") as client, listening(url, "B") as other:
        client.say(FLAGS)
        replay.flags = client.hear()
        client.take()
        other.take()
        for name, scenario in SCENARIOS.items():
            with ExitStack() as stack:
                listeners = {"client": client, "other": other}
                if "old" in scenario:
                    listeners |= {"old": client, "client": stack.enter_context(listening(url, "A"))}
                    listeners["client"].take()
                if name == "logs subscription":
                    _subscribe(url, "A")
                replay.answers[name] = post(url, "/prompt", scenario["body"])
                if replay.answers[name].status == 200:
                    for who, socket in listeners.items():
                        is_told = who != "other" or "client_id" not in scenario["body"]
                        replay.heard[name, who] = socket.until(is_over if is_told else is_idle)
    return replay


@pytest.mark.parametrize("name", SCENARIOS)
def test_messages(replay: Replay, name: str) -> None:
    assert replay.answers[name].status == SCENARIOS[name].get("status", 200)
    _check(replay.heard.get((name, "client"), ()), SCENARIOS[name]["client"])


@pytest.mark.parametrize(("name", "who"), [(n, w) for n, s in SCENARIOS.items() for w in ("other", "old") if w in s])
def test_what_other_sockets_hear(replay: Replay, name: str, who: str) -> None:
    _check(replay.heard[name, who], SCENARIOS[name][who])


def test_flags(replay: Replay) -> None:
    """As captured, and two more: with them the frontend deletes files on the server."""
    assert replay.flags["type"] == "feature_flags"
    more = {"assets": True, "asset_deletion_enabled": True}
    assert list(differences({**expected(DATA["flags"])["answer"], **more}, replay.flags["data"])) == []


@pytest.mark.parametrize("name", HISTORY)
def test_history(url: str, replay: Replay, name: str) -> None:
    wanted = expected(HISTORY[name])["answer"]
    if wanted is None:
        assert replay.answers[name].status == 400
        return
    job_id = replay.answers[name].json["prompt_id"]
    assert list(differences(wanted, ask(url, f"GET /history/{job_id}").json[job_id])) == []


def test_failed_job(url: str, replay: Replay) -> None:
    wanted = expected(DATA["failed_job"])
    told = ask(url, f"GET /api/jobs/{replay.answers['execution error'].json['prompt_id']}").json
    assert list(differences(wanted["answer"], told, adds=wanted["adds"])) == []


def test_the_new_socket_hears_all_when_the_old_one_closes(url: str, replay: Replay) -> None:
    body = json.loads(json.dumps(SCENARIOS["one input changed"]["body"]).replace(": 40", ": 44"))
    with listening(url, "C") as new:
        with listening(url, "C"):
            new.take()
        submit(url, {**body, "client_id": "C"})
        _check(new.until(is_over), DATA["new_socket"])


def test_without_client_id(url: str) -> None:
    with listening(url) as socket:
        [greeting] = socket.take()
    assert misshapen([greeting], SHAPES) == []
    assert len(greeting["data"]["sid"]) == 32


def test_garbage_is_passed_over(url: str) -> None:
    with listening(url, "G") as socket:
        for message in (
            "no json",
            '{"type": 5',
            "[]",
            "null",
            '{"type": "nope"}',
            b"\x00\x01",
            '{"type": "feature_flags"}',
        ):
            socket.say(message)
        assert _hears_a_job(url, socket, "G")


def test_flags_that_are_not_the_first_message_are_passed_over(url: str) -> None:
    with listening(url, "F") as socket:
        socket.say('{"type": "other"}')
        socket.say(FLAGS)
        assert "feature_flags" not in {m["type"] for m in _hears_a_job(url, socket, "F")}


def test_log_lines_have_the_captured_shape(url: str) -> None:
    with listening(url, "L") as socket:
        _subscribe(url, "L")
        submit(url, {"prompt": {"1": {"class_type": "Prints", "inputs": {"line": "hello"}}}, "client_id": "L"})
        logs = [m for m in socket.until(is_over) if m["type"] == "logs"]
    assert misshapen(logs, SHAPES) == []
    assert [entry["m"] for m in logs for entry in m["data"]["entries"]] == ["hello"]
    assert {"t", "m"} == set(logs[0]["data"]["entries"][0])


def _check(heard: Sequence[Any], wanted: dict[str, Any]) -> None:
    heard = [message for message in heard if not _is_end_in_log(message)]
    assert list(differences(list(replaced(wanted["heard"], wanted["mended"])), lines(heard))) == []
    assert misshapen(heard, SHAPES) == []


def _is_end_in_log(message: Any) -> bool:
    """A line of the log on the job before this one, which comes after its last message (HTTP-29)."""
    if isinstance(message, bytes) or message["type"] != "logs":
        return False
    return all(entry["m"].startswith("job ") for entry in message["data"]["entries"])


def _hears_a_job(url: str, socket: Socket, client_id: str) -> Sequence[Any]:
    job_id = submit(url, {"prompt": SCENARIOS["text output"]["body"]["prompt"], "client_id": client_id})
    heard = socket.until(is_over)
    assert [m["data"]["prompt_id"] for m in heard if m["type"] == "execution_success"] == [job_id]
    return heard


def _subscribe(url: str, client_id: str) -> None:
    wish = json.dumps({"clientId": client_id, "enabled": True}).encode()
    assert ask(url, "PATCH /internal/logs/subscribe", wish).status == 200
