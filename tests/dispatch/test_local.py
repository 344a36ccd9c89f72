"""Real engine processes: their start, every way in which they end, and what survives it."""

import asyncio
import os
import select
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.dispatch.engines import SLOT, Bench, EngineLost, bench, deed, engine_config, node

from safelight.core.event import CallProgressed, CallStarted
from safelight.core.job import JobState
from safelight.dispatch.backends.process import OutputLines, describe_exit, scrub
from safelight.dispatch.backends.supervisor import pause_s
from safelight.wire.codec import encode
from safelight.wire.messages import InputsValidated, JobDone, LogLines, Ready, Stop, ValidateInputs

pytestmark = pytest.mark.anyio

NUMBER = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Bench]:
    under_test = bench(tmp_path)
    await under_test.backend.start(under_test.listener)
    await under_test.ready()
    yield under_test
    await under_test.backend.stop()


async def assert_works(engine: Bench) -> None:
    _, done = await engine.run(NUMBER, "2")
    assert done.outcome is JobState.COMPLETED


async def ended(pid: int) -> bool:
    """Wait for a process that is not a child of this one. A zombie counts as ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(await asyncio.to_thread(poll.poll, 30_000))
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("be_killed", "signal 9 (SIGKILL)"),
        ("segfault", "signal 11 (SIGSEGV)"),
        ("exit", "status 0"),
        ("garbage", "not a message: a frame of 4294967295 bytes is longer"),
    ],
)
async def test_the_death_of_an_engine_is_reported_and_a_new_one_works(engine: Bench, what: str, words: str) -> None:
    engine.send(deed(what), "1")
    before, lost = await engine.listener.until(EngineLost)
    assert words in lost.reason
    assert any(isinstance(m, CallStarted) for m in before), "messages sent before its death arrive"
    await engine.ready()
    await assert_works(engine)


async def test_the_death_of_an_engine_is_noticed_in_milliseconds(engine: Bench) -> None:
    """Promise 4 depends on it: no lease has to expire. The best of three, because this machine may be busy."""
    delays = []
    for _ in range(3):
        engine.send(deed("hang"), "1")
        await engine.line("hanging")
        killed = time.monotonic()
        engine.backend.kill(SLOT, "for the test")
        await engine.listener.until(EngineLost)
        delays.append(time.monotonic() - killed)
        await engine.ready()
    assert min(delays) < 0.1


async def test_a_crash_report_names_the_place(engine: Bench) -> None:
    job = engine.send(deed("segfault"), "1")
    before, _ = await engine.listener.until(EngineLost)
    lines = [(m.job_id, line) for m in before if isinstance(m, LogLines) for _, line in m.lines]
    assert (job.job_id, "Fatal Python error: Segmentation fault") in lines
    assert any("in segfault" in line for _, line in lines)


async def test_kill_reports_its_reason_and_ends_the_children_too(engine: Bench) -> None:
    engine.send(deed("spawn_and_hang"), "1")
    child = int((await engine.line("child ")).split()[1])
    engine.backend.kill(SLOT, "the job did not stop")
    _, lost = await engine.listener.until(EngineLost)
    assert lost.reason == "the job did not stop"
    assert await ended(child)
    await engine.ready()


async def test_children_end_with_an_engine_that_dies_by_itself(engine: Bench) -> None:
    engine.send(deed("spawn_and_die"), "1")
    child = int((await engine.line("child ")).split()[1])
    await engine.listener.until(EngineLost)
    assert await ended(child)


async def test_a_running_call_is_cancelled_softly_and_the_engine_stays(engine: Bench) -> None:
    prompt = {"1": node("Async", value=1, seconds=60.0), "2": node("Show", value=["1", 0])}
    job = engine.send(prompt, "2")
    await engine.listener.until(CallStarted)
    engine.cancel(job)
    _, done = await engine.end()
    assert done.outcome is JobState.CANCELLED
    assert done.error is not None
    assert done.error.node_id == "1"
    await assert_works(engine)


async def test_a_job_buffered_in_the_pipe_can_be_cancelled_before_it_begins(engine: Bench) -> None:
    first = engine.send({"1": node("Async", value=1, seconds=60.0), "2": node("Show", value=["1", 0])}, "2")
    second = engine.send(NUMBER, "2")
    engine.cancel(second)
    engine.cancel(first)
    assert (await engine.end())[1].job_id == first.job_id
    messages, done = await engine.end()
    assert (done.job_id, done.outcome) == (second.job_id, JobState.CANCELLED)
    assert not any(isinstance(m, CallStarted) for m in messages)


async def test_a_cancel_of_another_attempt_is_ignored(engine: Bench) -> None:
    slow = {"1": node("Async", value=1, seconds=0.05), "2": node("Show", value=["1", 0])}
    job = engine.send(slow, "2", attempt=2)
    engine.cancel(msgspec.structs.replace(job, attempt=1))
    _, done = await engine.end()
    assert done.outcome is JobState.COMPLETED


async def test_printed_lines_belong_to_their_job(engine: Bench) -> None:
    job = engine.send(deed("print"), "1")
    messages, _ = await engine.end()
    lines = [line for m in messages if isinstance(m, LogLines) and m.job_id == job.job_id for _, line in m.lines]
    assert [line for line in lines if line != "native"] == ["first", "second", "30%"]
    if "native" not in lines:  # output of native code takes another path, and may arrive a moment later
        assert await engine.line("native")


async def test_progress_is_thinned_except_first_and_last(engine: Bench) -> None:
    messages, _ = await engine.run(deed("steps"), "1")
    values = [m.value for m in messages if isinstance(m, CallProgressed)]
    assert values[0] == 1
    assert values[-1] == 200
    assert values == sorted(values)
    assert len(values) < 100


async def test_the_environment_is_scrubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFELIGHT_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    engine = bench(tmp_path)
    await engine.backend.start(engine.listener)
    await engine.ready()
    messages, _ = await engine.run(deed("reveal"), "1")
    await engine.backend.stop()
    names = {line for m in messages if isinstance(m, LogLines) for _, line in m.lines}
    assert "PATH" in names
    assert not {"SAFELIGHT_DATABASE_URL", "AWS_SECRET_ACCESS_KEY"} & names


def test_scrub_keeps_devices_and_locale() -> None:
    kept = {"PATH": "/bin", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2"}
    assert scrub(kept | {"SAFELIGHT_X": "1", "GITHUB_TOKEN": "x", "PGPASSWORD": "x"}) == kept


async def test_an_engine_that_uses_too_much_memory_is_replaced_between_two_jobs(tmp_path: Path) -> None:
    engine = bench(tmp_path, rss_limit_bytes=80 * 1024 * 1024)
    await engine.backend.start(engine.listener)
    first = await engine.ready()
    await assert_works(engine)
    _, done = await engine.run(deed("grow"), "1")
    assert done.outcome is JobState.COMPLETED
    lost = await engine.listener.next()
    assert isinstance(lost, EngineLost)
    assert "is replaced" in lost.reason
    assert (await engine.ready()).info.pid != first.info.pid
    await assert_works(engine)
    await engine.backend.stop()


async def test_an_engine_exits_when_the_server_is_unresponsive(tmp_path: Path) -> None:
    """The server keeps the pipe open and sends nothing, as a remote engine sees a lost network."""
    ours, theirs = socket.socketpair()
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "safelight.runtime.main", "--fd", str(theirs.fileno()), "--parent", str(os.getpid())),
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
        stderr=asyncio.subprocess.PIPE,
    )
    theirs.close()
    ours.sendall(encode([engine_config(lease_s=0.3)]))
    _, errors = await asyncio.wait_for(engine.communicate(), 30)
    assert engine.returncode == -9
    assert b"the server has been silent for 0." in errors
    ours.close()


async def test_an_engine_dies_with_its_server(tmp_path: Path) -> None:
    """The server is killed while a node sleeps in C and reacts to nothing."""
    code = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from tests.dispatch.engines import *\n"
        "async def main():\n"
        "    b = bench(Path(sys.argv[1])); await b.backend.start(b.listener); ready = await b.ready()\n"
        "    b.send(deed('hang'), '1'); await b.line('hanging'); print(ready.info.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path)), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert server.stdout is not None
    pid = int(await asyncio.wait_for(server.stdout.readline(), 30))
    server.kill()
    await server.wait()
    assert await ended(pid)


async def test_stop_takes_effect_between_jobs(engine: Bench) -> None:
    engine.backend.send(SLOT, Stop())
    engine.send(NUMBER, "2")
    _, lost = await engine.listener.until(EngineLost)
    assert "status 0" in lost.reason


async def test_a_command_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    engine = bench(tmp_path, command=("/nonexistent/python",))
    await engine.backend.start(engine.listener)
    _, lost = await engine.listener.until(EngineLost)
    assert "cannot be started" in lost.reason
    await engine.backend.stop()


async def test_an_engine_that_does_not_begin_with_ready_is_killed(tmp_path: Path) -> None:
    speak = (
        "import socket, sys; from safelight.wire.codec import encode; from safelight.wire.messages import *\n"
        "s = socket.socket(fileno=int(sys.argv[2]))\n"
        "s.sendall(encode([JobDone(job_id='x', attempt=1, outcome='completed')])); s.recv(1 << 20); s.recv(1)\n"
        "input()"
    )
    engine = bench(tmp_path, command=(sys.executable, "-c", speak))
    await engine.backend.start(engine.listener)
    before, lost = await engine.listener.until(EngineLost)
    assert before == []
    assert "began with JobDone" in lost.reason
    await engine.backend.stop()


async def test_messages_sent_before_ready_are_dropped(tmp_path: Path) -> None:
    engine = bench(tmp_path)
    await engine.backend.start(engine.listener)
    engine.send(NUMBER, "2")
    await engine.ready()
    messages, done = await engine.run(NUMBER, "2")
    assert done.job_id == "job-2"
    assert not any(isinstance(m, JobDone | Ready) for m in messages)
    await engine.backend.stop()


def test_the_first_restart_is_immediate_and_later_ones_back_off() -> None:
    assert [pause_s(n) for n in range(5)] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert pause_s(100) == 30.0


def test_ends_are_described() -> None:
    assert describe_exit(3) == "the worker process ended with status 3"
    assert describe_exit(-9) == "the worker process was killed by signal 9 (SIGKILL)"
    assert describe_exit(75) == "the worker's device ran out of memory"


async def test_output_is_split_into_lines_that_a_progress_bar_rewrote() -> None:
    received: list[str] = []
    lines = OutputLines(received.extend)
    for piece in (b"one\ntw", b"o\n 10%\r 2", b"0%\r 30%\r\nx" + b"y" * 9000, b"\nlast"):
        lines.data_received(piece)
    lines.connection_lost(None)
    assert [line[:6] for line in received] == ["one", "two", " 30%", "xyyyyy", "yyyyyy", "last"]


async def test_nodes_validate_a_prompt_while_a_job_runs(engine: Bench) -> None:
    engine.send({"1": node("Deed", what="hang")}, "1")
    await engine.line("hanging")
    for value, violations in ((2, {}), (3, {"1": "3 is odd"}), (13, {"1": "ValueError: unlucky"})):
        prompt = {"1": node("Even", value=value)}
        asked = ValidateInputs(request_id=value, owner_id="ada", prompt=prompt, targets=["1"])
        engine.backend.send(SLOT, asked)
        _, answer = await engine.listener.until(InputsValidated)
        assert (answer.request_id, answer.violations) == (value, violations)


async def test_a_validation_error_ends_the_job_before_it_runs(engine: Bench) -> None:
    messages, done = await engine.run({"1": node("Even", value=5)}, "1")
    assert not [m for m in messages if isinstance(m, CallStarted)]
    assert done.outcome is JobState.FAILED
    assert done.error is not None
    assert done.error.exception_message == "Custom validation failed for node: value - 5 is odd\n"
