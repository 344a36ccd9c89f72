"""Of many jobs that end together, the run times of some are kept."""

from datetime import UTC, datetime

from safelight.core.event import JobTimed
from safelight.core.ids import JobId, UserId
from safelight.services.run_time_recorder import newest_of_each


def timed(owner: str, number: int) -> JobTimed:
    return JobTimed(
        owner_id=UserId(owner), job_id=JobId(f"{owner}{number}"), client_id=None,
        at=datetime(2026, 1, 1, tzinfo=UTC), device="cpu", seconds={}, total_s=1.0,
    )  # fmt: skip


def test_the_newest_of_each_owner_are_kept_whoever_has_most_jobs() -> None:
    waiting = [*(timed("ann", n) for n in range(100)), *(timed("ben", n) for n in range(2)), timed("eve", 0)]
    kept = [each.job_id for each in newest_of_each(waiting, most=6)]
    assert set(kept) == {"ann99", "ann98", "ann97", "ben1", "ben0", "eve0"}
    assert kept.index("ann97") < kept.index("ann98") < kept.index("ann99"), "the newest is written last"


def test_few_are_all_kept() -> None:
    assert len(newest_of_each([timed("ann", n) for n in range(3)], most=8)) == 3
    assert newest_of_each([], most=8) == []
