"""Jobs compared with a small model, for actions of clients, the dispatcher and engines in any order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule
from tests.database import ANNA, BEN, NOW
from tests.services.jobs import PROMPT
from tests.services.rows import Rows

from safelight.core.errors import Conflict, NotFound
from safelight.core.event import JobEnded
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, JobError, JobState
from safelight.core.paging import PageRequest
from safelight.core.pool import QueueKey
from safelight.core.user import Principal
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services.job import SubmitJob

ENDS = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
TRIES = 2
PEOPLE = st.sampled_from([ANNA, BEN])
ALL = PageRequest(1000)


@dataclass(frozen=True)
class Known:
    """The model of a job. ``tries``: attempts that lost their worker or still run."""

    owner: UserId
    state: JobState = JobState.QUEUED
    attempt: int = 0
    tries: int = 0
    is_cancelled: bool = False


class JobMachine(RuleBasedStateMachine):
    fences = Bundle("fences")

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.known: dict[JobId, Known] = {}
        self.ended: list[JobId] = []
        self.now: datetime = NOW

    def teardown(self) -> None:
        self.rows.close()

    # -- clients --

    @rule(who=PEOPLE)
    def submit(self, who: Principal) -> None:
        job_id = JobId(f"job-{self.now.timestamp():.0f}")
        command = SubmitJob(prompt=PROMPT, targets=["2"], extra_data={}, job_id=job_id)
        self.rows.do(jobs.submit, who, command=command, now=self.tick())
        self.known[job_id] = Known(who.user_id)

    @rule(who=PEOPLE, data=st.data())
    def cancel(self, who: Principal, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from([*self.known, JobId("nobody's")]))
        job = self.known.get(job_id)
        if job is None or job.owner != who.user_id:
            self.refused(lambda: self.rows.do(jobs.cancel, who, job_id=job_id, now=self.now))
            return
        is_new = job.state not in ENDS and not job.is_cancelled
        assert self.rows.do(jobs.cancel, who, job_id=job_id, now=self.tick()) == is_new
        if is_new:
            self.cancelled(job_id)

    @rule(who=PEOPLE)
    def cancel_all_that_wait(self, who: Principal) -> None:
        waiting = [j for j, job in self.known.items() if job.owner == who.user_id and job.state is JobState.QUEUED]
        told = self.rows.do(jobs.cancel_all_queued, who, at_most=1000, now=self.tick())
        assert sorted(told) == sorted(waiting)
        for job_id in waiting:
            self.cancelled(job_id)

    @rule(who=PEOPLE)
    def interrupt(self, who: Principal) -> None:
        running = [j for j, job in self.known.items() if job.owner == who.user_id and job.state is JobState.RUNNING]
        asked = [job_id for job_id in running if not self.known[job_id].is_cancelled]
        assert sorted(self.rows.do(jobs.interrupt, who, job_id=None, now=self.tick())) == sorted(asked)
        for job_id in asked:
            self.cancelled(job_id)

    @rule(who=PEOPLE)
    def forget(self, who: Principal) -> None:
        self.rows.do(jobs.forget_all, who, at_most=1000, now=self.tick())
        for job_id in [j for j, job in self.known.items() if job.owner == who.user_id and job.state in ENDS]:
            del self.known[job_id]

    # -- the dispatcher and engines --

    @rule(target=fences, who=PEOPLE)
    def claim(self, who: Principal) -> Fence | MultipleResults[Fence]:
        waiting = [j for j, job in self.known.items() if job.owner == who.user_id and job.state is JobState.QUEUED]
        found = self.rows.do(attempts.claim_next, keys=[QueueKey(who.user_id)], now=self.tick()).job
        if found is None:
            assert waiting == []
            return multiple()
        assert found.id == waiting[0], "the oldest runs first"
        job = self.known[found.id]
        self.known[found.id] = replace(job, state=JobState.RUNNING, attempt=job.attempt + 1, tries=job.tries + 1)
        return Fence(found.id, job.attempt + 1)

    @rule(fence=fences, outcome=st.sampled_from(ENDS))
    def finish(self, fence: Fence, outcome: JobState) -> None:
        """Also from an engine that was abandoned long ago."""
        error = JobError("ValueError", "no", "1", "LoadImage") if outcome is JobState.FAILED else None
        if self.holds(fence):
            self.rows.do(attempts.finish, fence, outcome=outcome, error=error, now=self.tick())
            self.became(fence.job_id, replace(self.known[fence.job_id], state=outcome))
        else:
            self.refused(lambda: self.rows.do(attempts.finish, fence, outcome=outcome, error=error, now=self.now))

    @rule(fence=fences)
    def lose(self, fence: Fence) -> None:
        if self.holds(fence):
            self.rows.do(attempts.fail_attempt, fence, reason="it died", now=self.tick())
            self.became(fence.job_id, after_loss(self.known[fence.job_id]))
        else:
            self.refused(lambda: self.rows.do(attempts.fail_attempt, fence, reason="it died", now=self.now))

    @rule(fence=fences)
    def release(self, fence: Fence) -> None:
        if self.holds(fence):
            self.rows.do(attempts.requeue, fence, now=self.tick())
            self.became(fence.job_id, after_release(self.known[fence.job_id]))
        else:
            self.refused(lambda: self.rows.do(attempts.requeue, fence, now=self.now))

    @rule()
    def recover(self) -> None:
        """The server is restarted: running attempts are lost."""
        running = [j for j, job in self.known.items() if job.state is JobState.RUNNING]
        lost = self.rows.do(attempts.recover, now=self.tick())
        assert sorted(job.id for job in lost) == sorted(running)
        for job_id in running:
            self.became(job_id, after_loss(self.known[job_id]))

    # -- invariants --

    @invariant()
    def rows_are_as_the_model(self) -> None:
        for who, other in ((ANNA, BEN), (BEN, ANNA)):
            listed = self.rows.do(jobs.list, who, states=(), page=ALL).items
            mine = {job_id: job for job_id, job in self.known.items() if job.owner == who.user_id}
            shown = {s.id: (s.state, s.attempt, s.cancel_requested) for s in listed}
            assert shown == {j: (job.state, job.attempt, job.is_cancelled) for j, job in mine.items()}
            _, waiting = self.rows.do(jobs.queue, who)
            assert [job.id for job in waiting] == [j for j, job in mine.items() if job.state is JobState.QUEUED]
            for job_id in mine:
                self.refused(partial(self.rows.do, jobs.get, other, job_id=job_id))

    @invariant()
    def the_waiting_are_counted(self) -> None:
        waiting = sum(job.state is JobState.QUEUED for job in self.known.values())
        assert sum(self.rows.do(attempts.depths).values()) == waiting

    @invariant()
    def each_end_was_told_once(self) -> None:
        assert sorted(e.job_id for e in self.rows.events if isinstance(e, JobEnded)) == sorted(self.ended)

    # -- helpers --

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def holds(self, fence: Fence) -> bool:
        job = self.known.get(fence.job_id)
        return job is not None and job.state is JobState.RUNNING and job.attempt == fence.attempt

    def refused(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (Conflict, NotFound):
            return
        raise AssertionError("it was not refused")

    def cancelled(self, job_id: JobId) -> None:
        job = self.known[job_id]
        state = JobState.CANCELLED if job.state is JobState.QUEUED else job.state
        self.became(job_id, replace(job, state=state, is_cancelled=True))

    def became(self, job_id: JobId, job: Known) -> None:
        self.known[job_id] = job
        if job.state in ENDS:
            self.ended.append(job_id)


def after_loss(job: Known) -> Known:
    if job.is_cancelled:
        return replace(job, state=JobState.CANCELLED)
    return replace(job, state=JobState.QUEUED if job.tries < TRIES else JobState.FAILED)


def after_release(job: Known) -> Known:
    """It does not count as a try."""
    state = JobState.CANCELLED if job.is_cancelled else JobState.QUEUED
    return replace(job, state=state, tries=job.tries - 1)


JobMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJobs = JobMachine.TestCase
