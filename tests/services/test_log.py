"""What is logged about jobs, and who can read it."""

import asyncio
import logging
from datetime import timedelta

import pytest
from tests.database import ANNA, BEN, NOW

from safelight.bus.memory import MemoryBus
from safelight.core.event import Event, JobEnded, JobStarted, LogWritten
from safelight.core.ids import JobId
from safelight.core.job import JobError, JobState
from safelight.services.log import JobLog, LogBuffer

pytestmark = pytest.mark.anyio

ABOUT = {"owner_id": ANNA.user_id, "job_id": JobId("j~anna"), "client_id": None}
FAILED = JobError("ValueError", "no such thing", "3", "KSampler", traceback=['  File "a.py", line 1\n', "    x()\n"])


async def told(*events: Event, is_here: bool = True) -> tuple[list[LogWritten], LogBuffer]:
    bus, heard = MemoryBus(), []
    bus.subscribe(lambda event: heard.append(event) if isinstance(event, LogWritten) else None)
    buffer = LogBuffer(bus)
    JobLog(bus, is_here=lambda: is_here)
    logging.getLogger().addHandler(buffer)
    try:
        bus.publish(events)
        await asyncio.sleep(0)  # lines are published after the current events
    finally:
        logging.getLogger().removeHandler(buffer)
    return heard, buffer


async def test_a_job_that_failed_is_told_with_its_traceback_to_its_owner_and_administrators() -> None:
    begun = JobStarted(**ABOUT, at=NOW, attempt=1)
    ended = JobEnded(**ABOUT, at=NOW + timedelta(seconds=1.5), state=JobState.FAILED, error=FAILED)
    [written], buffer = await told(begun, ended)
    assert written.owner_id == ANNA.user_id
    lines = [text for _, text in written.entries]
    assert lines == [
        "job j failed after 1.50 s in node 3 (KSampler): ValueError: no such thing\n",
        '  File "a.py", line 1\n',
        "    x()\n",
    ]
    assert [text for _, text in buffer.entries(owner=ANNA.user_id)] == lines
    assert [text for _, text in buffer.entries(owner=None)] == lines, "once, not again as a line of the server's"
    assert buffer.entries(owner=BEN.user_id) == []


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.CANCELLED])
async def test_each_end_is_told(state: JobState) -> None:
    [written], _ = await told(JobEnded(**ABOUT, at=NOW, state=state))
    assert [text for _, text in written.entries] == [f"job j {state.value} before it began\n"]


async def test_a_server_that_does_not_lead_says_nothing() -> None:
    heard, _ = await told(JobEnded(**ABOUT, at=NOW, state=JobState.COMPLETED), is_here=False)
    assert heard == []
