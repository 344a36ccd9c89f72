"""How long a job may run, and a node say nothing: what ends a job that would hold its worker for ever."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from safelight.core.job import JobError
from safelight.core.pool import Pool
from safelight.dispatch.attempts.attempt import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """In seconds; 0: no limit. ``pools``: in place of ``run_s`` for the jobs of a pool."""

    run_s: float = 0.0
    pools: Mapping[Pool, float] = field(default_factory=dict)
    silent_node_s: float = 0.0

    def run_limit_s(self, run: Run) -> float:
        """The owner's own limit, else the pool's, else the server's."""
        if run.own_limit_s is not None:
            return run.own_limit_s
        return self.pools.get(run.job.summary.pool, self.run_s)

    def applies_to(self, run: Run) -> bool:
        return bool(self.silent_node_s or self.run_limit_s(run))

    def judge(self, run: Run, *, now_s: float) -> JobError | float:
        """Why the run must end now, or how long until that is to be asked again."""
        waits: list[float] = []
        if limit_s := self.run_limit_s(run):
            left_s = run.sent_s + limit_s - now_s
            if left_s <= 0:
                return run.error("RunLimitExceeded", f"the job ran for longer than its run limit of {limit_s:g} s")
            waits.append(left_s)
        if self.silent_node_s:
            left_s = run.heard_s + self.silent_node_s - now_s
            if left_s <= 0 and run.calls:
                what = f"the node reported no progress for {self.silent_node_s:g} s (the setting silent_node_s)"
                return run.error("NodeSilent", what)
            waits.append(left_s if left_s > 0 else self.silent_node_s)
        return min(waits)
