"""The attempt that an engine works on: its requests to the server, and how a cancel ends them."""

import threading
from collections.abc import Callable

import pytest

from safelight.runtime.outbox import Outbox
from safelight.runtime.running_job import RunningJob
from safelight.sdk.context import Cancelled
from safelight.wire.codec import Decoder
from safelight.wire.messages import CheckFiles, KeptFile, ReserveNames, RunJob, ToServer

FILES = [KeptFile("output", "", "a_00001_.png", "digest")]
LIMIT_S = 60.0


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda job: job.reserve(folder="output", subfolder="", prefix="a", count=1), ReserveNames),
        (lambda job: job.check(FILES), CheckFiles),
    ],
)
def test_a_cancel_ends_waiting_for_an_answer(ask: Callable[[RunningJob], object], kind: type[ToServer]) -> None:
    """The server never answers: it does not answer jobs that are over."""
    asked = threading.Event()
    decoder: Decoder[ToServer] = Decoder(ToServer)

    def write(frames: bytearray) -> None:
        if any(isinstance(message, kind) for message in decoder.feed(bytes(frames))):
            asked.set()

    order = RunJob(job_id="j", attempt=1, owner_id="u", prompt={}, targets=[], staging="")
    job = RunningJob(order, Outbox(write))
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            ask(job)
        except BaseException as error:
            ended.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert asked.wait(LIMIT_S)
    job.cancel()
    waiting.join(LIMIT_S)
    assert not waiting.is_alive()
    assert [type(error) for error in ended] == [Cancelled]
    with pytest.raises(Cancelled):
        ask(job)  # and nobody begins to wait
