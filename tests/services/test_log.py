"""What is logged about jobs, and who can read it."""

import asyncio
import logging

import pytest
from tests.database import ANNA, BEN, NOW

from safelight.bus.memory import MemoryBus
from safelight.core.event import JobEnded, LogWritten
from safelight.core.ids import JobId
from safelight.core.job import JobError, JobState
from safelight.services.job_stages import PREPARING, QUEUED, RUNNING, JobStages
from safelight.services.log import JobLog, LogBuffer

pytestmark = pytest.mark.anyio

ABOUT = {"owner_id": ANNA.user_id, "job_id": JobId("j~anna"), "client_id": None, "at": NOW}
FAILED = JobError("ValueError", "no such thing", "3", "KSampler", traceback=['  File "a.py", line 1\n', "    x()\n"])
STAGES = JobStages({QUEUED: 0.25, PREPARING: 0.5, RUNNING: 1.0}, attempt=1, slot="cpu")


async def logged(event: JobEnded, stages: JobStages = STAGES) -> tuple[list[LogWritten], LogBuffer]:
    bus, heard = MemoryBus(), []
    bus.subscribe(lambda event: heard.append(event) if isinstance(event, LogWritten) else None)
    buffer = LogBuffer(bus)
    logging.getLogger().addHandler(buffer)
    try:
        JobLog(bus).job_ended(event, stages)
        await asyncio.sleep(0)  # lines are published after the current events
    finally:
        logging.getLogger().removeHandler(buffer)
    return heard, buffer


async def test_a_job_that_failed_is_logged_with_its_traceback_for_its_owner_and_administrators() -> None:
    [written], buffer = await logged(JobEnded(**ABOUT, state=JobState.FAILED, error=FAILED))
    assert written.owner_id == ANNA.user_id
    lines = [text for _, text in written.entries]
    assert lines == [
        "job j failed after 1.50 s (0.25 s in the queue) in node 3 (KSampler): ValueError: no such thing\n",
        '  File "a.py", line 1\n',
        "    x()\n",
    ]
    assert [text for _, text in buffer.entries(owner=ANNA.user_id)] == lines
    assert [text for _, text in buffer.entries(owner=None)] == lines, "once, not again as a line of the server's"
    assert buffer.entries(owner=BEN.user_id) == []


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED])
async def test_each_end_is_logged(state: JobState) -> None:
    [written], _ = await logged(JobEnded(**ABOUT, state=state), JobStages({QUEUED: 3.0}))
    assert [text for _, text in written.entries] == [f"job j {state.value} before it began\n"]


async def test_kept_lines_come_before_those_since_the_start() -> None:
    buffer = LogBuffer(bus := MemoryBus())
    bus.publish([LogWritten(ANNA.user_id, [(NOW, "new")], JobId("j2"))])
    buffer.add_kept([(ANNA.user_id, (NOW, "kept\n")), (BEN.user_id, (NOW, "his\n"))])
    assert [text for _, text in buffer.entries(owner=ANNA.user_id)] == ["kept\n", "new\n"]
    assert [text for _, text in buffer.entries(owner=None)] == ["kept\n", "his\n", "new\n"]


async def test_a_structured_log_has_the_stages_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="safelight.jobs"):
        await logged(JobEnded(**ABOUT, state=JobState.FAILED, error=FAILED))
    [record] = [record for record in caplog.records if record.name == "safelight.jobs"]
    assert record.fields == {
        "job": "j",
        "user": ANNA.user_id,
        "attempt": 1,
        "slot": "cpu",
        "state": "failed",
        "queued_s": 0.25,
        "preparing_s": 0.5,
        "running_s": 1.0,
        "error": "ValueError",
        "node": "3",
    }
