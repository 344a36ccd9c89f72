"""Jobs on an engine of any kind: their messages, in the order that clients expect."""

from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import SLOT, Bench, node

from safelight.core.event import (
    CallBlocked,
    CallFinished,
    CallProgressed,
    CallsCached,
    CallStarted,
    MessageSent,
    PreviewMade,
    TextShown,
)
from safelight.core.job import JobState
from safelight.wire.messages import FreeMemory, LogLines, OutputReady, ReserveNames

pytestmark = pytest.mark.anyio

SHOWN = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}


def story(messages: list[Any]) -> list[str]:
    """The events of calls in short form: ``CallStarted 1``."""
    found = []
    for message in messages:
        if isinstance(message, OutputReady):
            found.append(f"OutputReady {message.made.call.id}")
        elif isinstance(message, CallStarted | CallFinished):
            found.append(f"{type(message).__name__} {message.call.id}")
    return found


def of_kind(messages: list[Any], kind: type[Any]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def texts(messages: list[Any]) -> list[str]:
    return [text for made in of_kind(messages, OutputReady) for text in (made.made.output or {}).get("text", ())]


async def test_calls_are_reported_in_their_order(engine: Bench) -> None:
    messages, done = await engine.run(SHOWN, "2")
    assert (done.outcome, done.error, done.executed) == (JobState.COMPLETED, None, ["1", "2"])
    assert done.device_s > 0
    assert of_kind(messages, CallsCached)[0].call_ids == []
    assert story(messages) == [
        *("CallStarted 1", "CallFinished 1"),
        *("CallStarted 2", "OutputReady 2", "CallFinished 2"),
    ]
    assert texts(messages) == ["7"]


async def test_a_rerun_comes_from_the_cache_until_memory_is_freed(engine: Bench) -> None:
    await engine.run(SHOWN, "2")
    messages, done = await engine.run(SHOWN, "2")
    assert (done.outcome, done.executed) == (JobState.COMPLETED, [])
    assert sorted(of_kind(messages, CallsCached)[0].call_ids) == ["1", "2"]
    assert story(messages) == ["OutputReady 2", "CallFinished 2"]
    assert (texts(messages), of_kind(messages, OutputReady)[0].made.cached) == (["7"], True)
    engine.backend.send(SLOT, FreeMemory(unload_models=True, free_memory=True))
    _, done = await engine.run(SHOWN | {"3": node("Show", value="now")}, "2", "3")
    _, done = await engine.run(SHOWN, "2")
    assert done.outcome is JobState.COMPLETED


async def test_progress_previews_texts_and_messages_name_their_call(engine: Bench) -> None:
    prompt = {"1": node("Steps", value=3, seconds=0.1), "2": node("Message", value=["1", 0])}
    messages, _ = await engine.run(prompt, "1", "2", preview_method="auto")
    steps = [(e.call.id, e.value, e.total) for e in of_kind(messages, CallProgressed)]
    assert steps[-1] == ("1", 3, 3)
    previews = of_kind(messages, PreviewMade)
    assert {(e.call.id, e.mime_type) for e in previews} == {("1", "image/jpeg")}
    assert previews[0].image.startswith(b"\xff\xd8")
    assert [(e.call.id, e.text) for e in of_kind(messages, TextShown)] == [("1", "3 steps")]
    [told] = of_kind(messages, MessageSent)
    assert (told.call.id, told.name, told.data) == ("2", "trial.told", {"value": 3})


async def test_a_blocked_call_is_reported_and_the_job_continues(engine: Bench) -> None:
    prompt = {"1": node("Block", value=1), "2": node("Show", value=["1", 0]), "3": node("Show", value="on")}
    messages, done = await engine.run(prompt, "2", "3")
    assert done.outcome is JobState.COMPLETED
    [blocked] = of_kind(messages, CallBlocked)
    assert (blocked.call.id, blocked.node_type, blocked.message) == ("2", "Show", "not today")
    assert texts(messages) == ["on"]


async def test_calls_inside_an_expansion_name_the_call_that_the_user_sees(engine: Bench) -> None:
    prompt = {"1": node("Expand", value=4), "2": node("Show", value=["1", 0])}
    messages, done = await engine.run(prompt, "2")
    assert (done.outcome, texts(messages)) == (JobState.COMPLETED, ["5"])
    [inner] = [e.call for e in of_kind(messages, CallStarted) if e.call.id not in prompt]
    assert (inner.display_id, inner.parent_id, inner.real_id) == ("1", "1", "1")


async def test_nodes_that_are_coroutines_run(engine: Bench) -> None:
    prompt = {
        "1": node("Slow", value=1),
        "2": node("Slow", value=2),
        "3": node("Show", value=["1", 0]),
        "4": node("Show", value=["2", 0]),
    }
    messages, done = await engine.run(prompt, "3", "4")
    assert (done.outcome, sorted(texts(messages))) == (JobState.COMPLETED, ["1", "2"])


async def test_an_error_names_its_node_and_shows_no_path_of_this_machine(engine: Bench) -> None:
    _, done = await engine.run({"1": node("Deed", what="raise_error")}, "1")
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert (done.error.exception_type, done.error.exception_message) == ("KeyError", "'missing'\n")
    assert (done.error.node_id, done.error.node_type) == ("1", "Deed")
    assert done.error.current_inputs == {"what": ["raise_error"]}
    assert 'trial_pack/__init__.py"' in done.error.traceback[-2]
    assert "tests/ports" not in "".join(done.error.traceback)
    messages, done = await engine.run(SHOWN, "2")
    assert texts(messages) == ["7"], "the next job is unharmed"


async def test_a_node_that_exits_fails_its_job_only(engine: Bench) -> None:
    _, done = await engine.run({"1": node("Deed", what="sys_exit")}, "1")
    assert done.outcome is JobState.FAILED
    messages, done = await engine.run(SHOWN, "2")
    assert (done.outcome, texts(messages)) == (JobState.COMPLETED, ["7"])


async def test_printed_lines_belong_to_their_job(engine: Bench) -> None:
    job = engine.send({"1": node("Deed", what="print")}, "1")
    messages, _ = await engine.end()
    lines = [
        line for message in of_kind(messages, LogLines) if message.job_id == job.job_id for _, line in message.lines
    ]
    assert [line for line in lines if line in ("first", "second", "30%")] == ["first", "second", "30%"]


async def test_numbered_files_get_the_next_numbers_of_their_owner(engine: Bench) -> None:
    prompt = {"1": node("SaveText", text="one", prefix="sub/a"), "2": node("SaveText", text="two", prefix="sub/a")}
    engine.reserved["output/sub/a"] = 5
    messages, done = await engine.run(prompt, "1", "2")
    assert done.outcome is JobState.COMPLETED
    assert {(r.folder, r.subfolder, r.prefix) for r in of_kind(messages, ReserveNames)} == {("output", "sub", "a")}
    made = of_kind(messages, OutputReady)
    assert [each.made.output["files"] for each in made] == [
        [{"filename": f"a_0000{number}_.txt", "subfolder": "sub", "type": "output"}] for number in (5, 6)
    ]
    assert [(f.filename, f.subfolder, f.mime_type, f.size) for each in made for f in each.files] == [
        (f"a_0000{number}_.txt", "sub", "text/plain", 3) for number in (5, 6)
    ]
    assert [Path(f.path).read_text() for each in made for f in each.files] == ["one", "two"]


async def test_a_cached_output_names_the_same_files_again(engine: Bench) -> None:
    prompt = {"1": node("SaveText", text="one", prefix="a"), "2": node("SaveText", text="two", prefix="a")}
    engine.reserved["output//a"] = 2
    first, _ = await engine.run(prompt, "1", "2")
    again, done = await engine.run(prompt, "1", "2")
    assert done.executed == []
    for messages in (first, again):
        shown = {made.made.call.id: made.made.output["files"][0]["filename"] for made in of_kind(messages, OutputReady)}
        assert shown == {"1": "a_00002_.txt", "2": "a_00003_.txt"}


async def test_a_file_that_a_node_does_not_name_is_kept(engine: Bench) -> None:
    prompt = {"1": node("SaveQuietly", text="hush", prefix="quiet"), "2": node("Show", value=["1", 0])}
    messages, _ = await engine.run(prompt, "1", "2")
    first = of_kind(messages, OutputReady)[0]
    assert first.made.call.id == "1"
    assert first.made.output == {"files": [{"filename": "quiet.txt", "subfolder": "", "type": "output"}]}
    assert [(f.filename, Path(f.path).read_text()) for f in first.files] == [("quiet.txt", "hush")]
    messages, _ = await engine.run(prompt, "1", "2")
    again = of_kind(messages, OutputReady)[0]
    assert (again.made.output, again.files) == (first.made.output, []), "shown again from the cache"


async def test_a_later_node_finds_a_saved_file_by_its_path(engine: Bench) -> None:
    prompt = {
        "1": node("SaveText", text="through", prefix="a"),
        "2": node("ReadPath", path=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    messages, _ = await engine.run(prompt, "1", "3")
    assert texts(messages) == ["through"]
