"""Outgoing messages: few writes, order kept, progress coalesced."""

import threading
from typing import Any

import pytest
from tests.events import report

from safelight.core.event import CallsCached
from safelight.runtime.outbox import SPACING_S, Outbox
from safelight.wire.codec import Decoder
from safelight.wire.messages import CallReport, ToServer


class Recorder:
    """An outbox, what it wrote, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.writes: list[list[str]] = []
        self.written = threading.Semaphore(0)
        self._decoder: Decoder[ToServer] = Decoder(ToServer)
        self.outbox = Outbox(self._write, clock=lambda: self.now)

    def _write(self, frames: bytearray) -> None:
        self.writes.append([m.job_id for m in self._decoder.feed(bytes(frames)) if isinstance(m, CallReport)])
        self.written.release()


def named(name: str) -> CallReport:
    return report(CallsCached([]), job_id=name, attempt=1)


def step(name: str) -> Any:
    return lambda: [named(name)]


def test_messages_are_buffered_until_one_is_urgent() -> None:
    h = Recorder()
    h.outbox.post(named("a"))
    h.outbox.post(named("b"))
    assert h.writes == []
    h.outbox.post(named("c"), flush=True)
    assert h.writes == [["a", "b", "c"]]
    h.outbox.flush()
    assert h.writes == [["a", "b", "c"]]


def test_a_full_buffer_is_written() -> None:
    h = Recorder()
    h.outbox.post(named("x" * 100_000))
    assert len(h.writes) == 1


def test_a_report_flushes_what_was_posted_before_it() -> None:
    h = Recorder()
    h.outbox.post(named("started"))
    h.outbox.report("key", step("1"))
    assert h.writes == [["started", "1"]]


def test_of_many_reports_the_first_and_the_last_are_sent() -> None:
    h = Recorder()
    for number in range(10):
        h.outbox.report("key", step(str(number)))
    assert h.writes == [["0"]]
    h.outbox.settle("key")
    assert h.writes == [["0"], ["9"]]
    h.outbox.settle("key")
    assert h.writes == [["0"], ["9"]]


def test_reports_are_sent_again_when_they_are_due() -> None:
    h = Recorder()
    h.outbox.report("key", step("0"))
    h.now += SPACING_S
    h.outbox.report("key", step("1"))
    assert h.writes == [["0"], ["1"]]


def test_keys_do_not_delay_each_other() -> None:
    h = Recorder()
    h.outbox.report("a", step("a"))
    h.outbox.report("b", step("b"))
    assert h.writes == [["a"], ["b"]]


def test_the_latest_report_is_sent_when_due_even_if_nothing_follows() -> None:
    """A node that reports two steps and then works for a minute shows the second."""
    writes: list[bytes] = []
    written = threading.Semaphore(0)

    def write(frames: bytearray) -> None:
        writes.append(bytes(frames))
        written.release()

    outbox = Outbox(write)
    outbox.report("key", step("first"))
    outbox.report("key", step("second"))
    assert written.acquire(timeout=60)
    assert written.acquire(timeout=60)
    assert b"second" in writes[1]


def test_a_skipped_report_is_never_made() -> None:
    h = Recorder()
    h.outbox.report("key", step("0"))
    h.outbox.report("key", lambda: pytest.fail("a skipped report was made"))
    h.outbox.report("key", step("2"))
    h.outbox.settle("key")
    assert h.writes == [["0"], ["2"]]


def test_a_report_that_cannot_be_made_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    written = threading.Semaphore(0)
    outbox = Outbox(lambda frames: written.release())
    outbox.report("broken", step("first"))
    outbox.report("broken", lambda: [object()])  # type: ignore[list-item]
    outbox.report("sound", step("first"))
    outbox.report("sound", step("second"))
    assert all(written.acquire(timeout=60) for _ in range(3))
    assert "TypeError" in capsys.readouterr().err
