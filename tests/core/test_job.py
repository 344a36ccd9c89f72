"""The job's state machine: promise 2 (one terminal state), 3 (the fence), 4 (one retry), 5 (cancel always ends)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelight.core.errors import Conflict
from safelight.core.ids import JobId, UserId
from safelight.core.job import Fence, JobState, JobSummary, claim, finish, request_cancel
from safelight.core.retry import MAX_ATTEMPTS, detach, fail_attempt, has_retry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUEUED = JobSummary(JobId("j"), UserId("u"), JobState.QUEUED, 0, 1.0, NOW, NOW)


def test_a_claim_raises_the_fence() -> None:
    running = claim(QUEUED, NOW)
    assert (running.state, running.attempt, running.started_at) == (JobState.RUNNING, 1, NOW)
    with pytest.raises(Conflict, match="running, not queued"):
        claim(running, NOW)


def test_a_late_finish_is_refused_by_the_fence() -> None:
    first = claim(QUEUED, NOW)
    second = claim(fail_attempt(first, Fence(first.id, 1), NOW, "engine died"), NOW)
    with pytest.raises(Conflict, match="attempt 1 is outdated"):
        finish(second, Fence(first.id, 1), JobState.COMPLETED, NOW)
    assert finish(second, Fence(first.id, 2), JobState.COMPLETED, NOW).state is JobState.COMPLETED


def test_the_retries_are_spent_with_a_reason() -> None:
    job = QUEUED
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = fail_attempt(claim(job, NOW), Fence(job.id, attempt), NOW, "engine died")
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.exception_message == f"engine died (attempt {MAX_ATTEMPTS} of {MAX_ATTEMPTS})"


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_a_non_terminal_finish_is_a_mistake(state: JobState) -> None:
    with pytest.raises(ValueError, match="not a terminal state"):
        finish(claim(QUEUED, NOW), Fence(QUEUED.id, 1), state, NOW)


def test_cancel_ends_a_queued_job_and_marks_a_running_one() -> None:
    assert request_cancel(QUEUED, NOW).state is JobState.CANCELLED
    marked = request_cancel(claim(QUEUED, NOW), NOW)
    assert (marked.state, marked.cancel_requested) == (JobState.RUNNING, True)
    assert fail_attempt(marked, Fence(marked.id, 1), NOW, "killed").state is JobState.CANCELLED


MOVES = st.lists(st.sampled_from(["claim", "complete", "fail", "lose", "stale", "cancel"]), max_size=30)


@given(MOVES)
def test_a_terminal_job_never_changes_and_the_attempt_never_falls(moves: list[str]) -> None:
    job = QUEUED
    for move in moves:
        before = job
        fence = Fence(job.id, job.attempt)
        try:
            if move == "claim":
                job = claim(job, NOW)
            elif move == "complete":
                job = finish(job, fence, JobState.COMPLETED, NOW)
            elif move == "fail":
                job = finish(job, fence, JobState.FAILED, NOW)
            elif move == "lose":
                job = fail_attempt(job, fence, NOW, "lost")
            elif move == "stale":
                job = finish(job, replace(fence, attempt=job.attempt - 1), JobState.COMPLETED, NOW)
            else:
                job = request_cancel(job, NOW)
        except Conflict:
            assert job is before
        assert job.attempt >= before.attempt
        assert job.attempt <= MAX_ATTEMPTS
        assert move != "stale" or job is before
        if before.state.is_terminal:
            assert job == before


def test_an_attempt_that_the_server_gave_up_costs_no_retry() -> None:
    first = detach(claim(QUEUED, NOW), NOW)
    again = claim(fail_attempt(first, Fence(first.id, 1), NOW, "not found again"), NOW)
    assert (again.attempt, again.tries, has_retry(again)) == (2, 1, True)
    third = claim(fail_attempt(again, Fence(again.id, 2), NOW, "engine died"), NOW)
    assert (third.attempt, third.tries, has_retry(third)) == (3, 2, False)
