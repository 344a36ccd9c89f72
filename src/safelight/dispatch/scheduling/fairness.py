"""Whose turn is it? Start-time fair queueing: each user has a virtual time, which device-seconds drive forward, divided
by the user's weight, and the user who is furthest behind goes next.

Who comes back after a rest starts level with the active user who is furthest behind: a rest earns nothing, and a
newcomer waits behind nobody's second job. Among equals, who was served longest ago goes first. A running job counts by
the time that it has held its slot so far, and by a moment at least, so that slots that become free together go to
different users. A user's time is one, in whatever pools the jobs wait.

Pure: no clock, no I/O. Times are seconds of a monotonic clock.
"""

from dataclasses import dataclass, field

from safelight.core.ids import JobId, UserId
from safelight.core.pool import Pool, QueueKey

MOMENT_S = 0.001


@dataclass(slots=True)
class _Account:
    """``settled``: virtual seconds of the jobs that have ended. ``running``: since when, by job."""

    settled: float = 0.0
    weight: float = 1.0
    served: int = 0
    waiting: set[Pool] = field(default_factory=set)
    running: dict[JobId, float] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return bool(self.waiting or self.running)

    def virtual_s(self, now_s: float) -> float:
        return self.settled + sum(_held_s(since, now_s) for since in self.running.values()) / self.weight


class FairQueue:
    """Mutable: the accounts of the users who wait or run, and of those who rest while others do."""

    def __init__(self) -> None:
        self._accounts: dict[UserId, _Account] = {}
        self._turn = 0

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._accounts)

    def wait(self, lane: QueueKey, *, now_s: float) -> bool:
        """A job of the lane waits. Whether it is the only one of its owner that does."""
        account = self._accounts.setdefault(lane.owner_id, _Account())
        is_first = not account.waiting
        if not account.is_active:
            level = min((a.virtual_s(now_s) for a in self._accounts.values() if a.is_active), default=None)
            if level is None:
                account.settled = level = 0.0
                self._accounts = {lane.owner_id: account}
            account.settled = max(account.settled, level)
            account.waiting.add(lane.pool)
            # A rested account that is not ahead would start at the level anyway.
            self._accounts = {o: a for o, a in self._accounts.items() if a.is_active or a.settled > level}
        account.waiting.add(lane.pool)
        return is_first

    def rest(self, lane: QueueKey) -> bool:
        """No job of the lane waits. Whether none of its owner does."""
        account = self._accounts.get(lane.owner_id)
        if account is None:
            return True
        account.waiting.discard(lane.pool)
        return not account.waiting

    def order(self, *, now_s: float) -> list[QueueKey]:
        """The lanes that wait, those of the next user first; of one user's lanes those of a named pool first, whose
        slots are fewer."""
        waiting = [(a.virtual_s(now_s), a.served, owner) for owner, a in self._accounts.items() if a.waiting]
        return [
            QueueKey(owner, pool)
            for _, _, owner in sorted(waiting)
            for pool in sorted(self._accounts[owner].waiting, reverse=True)
        ]

    def start(self, owner: UserId, job_id: JobId, *, now_s: float, weight: float = 1.0) -> None:
        """``weight`` counts from now on, for whatever the owner has running."""
        self._turn += 1
        account = self._accounts.setdefault(owner, _Account())
        account.served = self._turn
        account.weight = weight
        account.running[job_id] = now_s

    def end(self, owner: UserId, job_id: JobId, *, now_s: float) -> None:
        """The job has left its slot, however it ended."""
        account = self._accounts.get(owner)
        if account is not None and job_id in account.running:
            account.settled += _held_s(account.running.pop(job_id), now_s) / account.weight


def _held_s(since_s: float, now_s: float) -> float:
    return max(MOMENT_S, now_s - since_s)
