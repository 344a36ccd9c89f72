"""How long each stage of a job took, as listeners of the bus see it."""

from datetime import timedelta

from tests.database import ANNA, NOW

from safelight.bus.memory import MemoryBus
from safelight.core.event import (
    CallReported,
    CallsCached,
    Event,
    JobEnded,
    JobQueued,
    JobRequeued,
    JobStarted,
)
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.services.job_stages import PREPARING, QUEUED, RUNNING, JobStageClock, JobStages


def stages_of(*events: Event) -> JobStages:
    bus, found = MemoryBus(), []
    JobStageClock(bus, on_end=lambda event, stages: found.append(stages))
    bus.publish(events)
    [stages] = found
    return stages


def about(seconds: float) -> dict[str, object]:
    at = NOW + timedelta(seconds=seconds)
    return {"owner_id": ANNA.user_id, "job_id": JobId("j~anna"), "client_id": None, "at": at}


def ended(seconds: float, state: JobState = JobState.COMPLETED) -> JobEnded:
    return JobEnded(**about(seconds), state=state)


def started(seconds: float, attempt: int = 1) -> JobStarted:
    return JobStarted(**about(seconds), attempt=attempt, slot="gpu-0")


def first_report(seconds: float) -> CallReported:
    return CallReported(**about(seconds), event=CallsCached(()))


def test_each_stage_is_timed() -> None:
    found = stages_of(JobQueued(**about(0)), started(2), first_report(3), first_report(4), ended(7))
    assert found.seconds == {QUEUED: 2, PREPARING: 1, RUNNING: 4}
    assert (found.attempt, found.slot) == (1, "gpu-0")


def test_a_retry_starts_the_stages_again() -> None:
    lost = (JobQueued(**about(0)), started(1), first_report(2), JobRequeued(**about(5), reason="lost"))
    assert stages_of(*lost, started(6, attempt=2), first_report(6), ended(8)).seconds == {
        QUEUED: 1,
        PREPARING: 0,
        RUNNING: 2,
    }


def test_a_job_that_was_cancelled_in_the_queue_has_no_attempt() -> None:
    found = stages_of(JobQueued(**about(0)), ended(3, JobState.CANCELLED))
    assert (found.seconds, found.attempt, found.slot) == ({QUEUED: 3}, 0, "")


def test_a_server_that_started_in_between_times_what_it_saw() -> None:
    assert stages_of(started(1), first_report(2), ended(4)).seconds == {PREPARING: 1, RUNNING: 2}
    assert stages_of(ended(4)).seconds == {}
