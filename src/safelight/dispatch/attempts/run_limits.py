"""How long a job may run, and a node stay silent, so that no job occupies its worker for ever. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.core.job import JobError
from safelight.core.pool import Pool
from safelight.dispatch.attempts.attempt import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In seconds; 0 means no limit. ``pools``: run limits for the jobs of a pool, instead of ``run_s``."""

    run_s: float = 0.0
    pools: Mapping[Pool, float] = field(default_factory=dict)
    silent_node_s: float = 0.0

    def run_limit_s(self, attempt: Attempt) -> float:
        """The limit of the owner if they have one, else of the pool, else of the server."""
        if attempt.own_limit_s is not None:
            return attempt.own_limit_s
        return self.pools.get(attempt.job.summary.pool, self.run_s)

    def applies_to(self, attempt: Attempt) -> bool:
        return bool(self.silent_node_s or self.run_limit_s(attempt))

    def check(self, attempt: Attempt, *, now_s: float) -> JobError | float:
        """The limit that the attempt exceeds, or the seconds until the next check."""
        waits: list[float] = []
        if limit_s := self.run_limit_s(attempt):
            left_s = attempt.sent_s + limit_s - now_s
            if left_s <= 0:
                return attempt.error("RunLimitExceeded", f"the job ran for longer than its run limit of {limit_s:g} s")
            waits.append(left_s)
        if self.silent_node_s:
            left_s = attempt.last_seen_s + self.silent_node_s - now_s
            if left_s <= 0 and attempt.calls:
                what = f"the node reported no progress for {self.silent_node_s:g} s (the setting silent_node_s)"
                return attempt.error("NodeSilent", what)
            waits.append(left_s if left_s > 0 else self.silent_node_s)
        return min(waits)
