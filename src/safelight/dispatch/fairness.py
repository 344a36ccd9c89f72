"""Whose turn is it? Start-time fair queueing: each user has a virtual time, which device-seconds drive forward, and the
user who is furthest behind goes next.

Who comes back after a rest starts level with the active user who is furthest behind: a rest earns nothing, and a
newcomer waits behind nobody's second job. Among equals, who was served longest ago goes first. A running job counts by
the time that it has held its slot so far, and by a moment at least, so that slots that become free together go to
different users.

Pure: no clock, no I/O. Times are seconds of a monotonic clock.
"""

from dataclasses import dataclass, field

from safelight.core.ids import JobId, UserId

MOMENT_S = 0.001


@dataclass(slots=True)
class _Account:
    """``settled``: virtual seconds of the jobs that have ended. ``running``: since when, by job."""

    settled: float = 0.0
    served: int = 0
    is_waiting: bool = False
    running: dict[JobId, float] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.is_waiting or bool(self.running)

    def virtual_s(self, now_s: float) -> float:
        return self.settled + sum(_held_s(since, now_s) for since in self.running.values())


class Turns:
    """Mutable: the accounts of the users who wait or run, and of those who rest while others do."""

    def __init__(self) -> None:
        self._accounts: dict[UserId, _Account] = {}
        self._turn = 0

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._accounts)

    def wait(self, owner: UserId, *, now_s: float) -> None:
        """The owner has a job that waits."""
        account = self._accounts.setdefault(owner, _Account())
        if not account.is_active:
            level = min((a.virtual_s(now_s) for a in self._accounts.values() if a.is_active), default=None)
            if level is None:
                account.settled = level = 0.0
                self._accounts = {owner: account}
            account.settled = max(account.settled, level)
            account.is_waiting = True
            # A rested account that is not ahead would start at the level anyway.
            self._accounts = {o: a for o, a in self._accounts.items() if a.is_active or a.settled > level}
        account.is_waiting = True

    def rest(self, owner: UserId) -> None:
        """The owner has no job that waits."""
        account = self._accounts.get(owner)
        if account is not None:
            account.is_waiting = False

    def order(self, *, now_s: float) -> list[UserId]:
        """Those who wait, the next first."""
        waiting = [(a.virtual_s(now_s), a.served, owner) for owner, a in self._accounts.items() if a.is_waiting]
        return [owner for _, _, owner in sorted(waiting)]

    def start(self, owner: UserId, job_id: JobId, *, now_s: float) -> None:
        self._turn += 1
        account = self._accounts.setdefault(owner, _Account())
        account.served = self._turn
        account.running[job_id] = now_s

    def end(self, owner: UserId, job_id: JobId, *, now_s: float) -> None:
        """The job has left its slot, however it ended."""
        account = self._accounts.get(owner)
        if account is not None and job_id in account.running:
            account.settled += _held_s(account.running.pop(job_id), now_s)


def _held_s(since_s: float, now_s: float) -> float:
    return max(MOMENT_S, now_s - since_s)
