"""Start-time fair queueing: each user has a virtual time, and the user with the least virtual time goes next.

Virtual time grows by the device-seconds that the user's jobs take, divided by the user's weight. A user who returns
after a pause starts at the level of the active user with the least virtual time: a pause earns no credit, and a
newcomer waits behind at most one job of each other user. Among equals, the user who was served longest ago goes first.
A running job counts with the time that it has held its slot so far, and with a minimum, so that slots that become free
together go to different users. A user has one virtual time, whatever pools and engines their jobs wait for.

Pure: no clock, no I/O. Times are seconds of a monotonic clock.
"""

from dataclasses import dataclass, field

from safelight.core.ids import JobId, UserId
from safelight.core.pool import QueueKey, Requirements, narrowness

MOMENT_S = 0.001
_RECENT = 0.3
"""Weight of the latest job in the usual duration of a user's jobs."""
_REMEMBERED = 10_000
"""Users whose usual durations are remembered."""


@dataclass(slots=True)
class _Account:
    """``ended_s``: virtual seconds of the jobs that have ended. ``running``: the start of each running job."""

    ended_s: float = 0.0
    weight: float = 1.0
    served: int = 0
    waiting: set[Requirements] = field(default_factory=set)
    running: dict[JobId, float] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return bool(self.waiting or self.running)

    def virtual_time(self, now_s: float) -> float:
        return self.ended_s + sum(_duration_s(since, now_s) for since in self.running.values()) / self.weight


class FairQueue:
    """Mutable: the accounts of the users who wait or run, and of those who pause while others do not."""

    def __init__(self) -> None:
        self._accounts: dict[UserId, _Account] = {}
        self._starts = 0
        self._usual_s: dict[UserId, float] = {}

    def __len__(self) -> int:
        """The number of accounts."""
        return len(self._accounts)

    def add(self, key: QueueKey, *, now_s: float) -> bool:
        """A job of ``key`` waits. Return whether its owner had no waiting job before."""
        account = self._accounts.setdefault(key.owner_id, _Account())
        is_first = not account.waiting
        if not account.is_active:
            level = min((a.virtual_time(now_s) for a in self._accounts.values() if a.is_active), default=None)
            if level is None:
                account.ended_s = level = 0.0
                self._accounts = {key.owner_id: account}
            account.ended_s = max(account.ended_s, level)
            account.waiting.add(key.requirements)
            # A paused account that is not ahead would start at the level anyway.
            self._accounts = {o: a for o, a in self._accounts.items() if a.is_active or a.ended_s > level}
        account.waiting.add(key.requirements)
        return is_first

    def remove(self, key: QueueKey) -> bool:
        """No job of ``key`` waits any more. Return whether its owner has no waiting job at all."""
        account = self._accounts.get(key.owner_id)
        if account is None:
            return True
        account.waiting.discard(key.requirements)
        return not account.waiting

    def order(self, *, now_s: float) -> list[QueueKey]:
        """The keys with waiting jobs, those of the next user first. Of one user, jobs that fewer slots may run come
        first: those of named pools, those for fewer engine kinds."""
        waiting = [(a.virtual_time(now_s), a.served, owner) for owner, a in self._accounts.items() if a.waiting]
        return [
            QueueKey(owner, *required)
            for _, _, owner in sorted(waiting)
            for required in sorted(self._accounts[owner].waiting, key=narrowness, reverse=True)
        ]

    def start(self, owner: UserId, job_id: JobId, *, now_s: float, weight: float = 1.0) -> None:
        """The job starts. ``weight`` applies from now on to all running jobs of the owner."""
        self._starts += 1
        account = self._accounts.setdefault(owner, _Account())
        account.served = self._starts
        account.weight = weight
        account.running[job_id] = now_s

    def end(self, owner: UserId, job_id: JobId, *, now_s: float) -> None:
        """The job has left its slot, whatever its outcome."""
        account = self._accounts.get(owner)
        if account is not None and job_id in account.running:
            seconds = _duration_s(account.running.pop(job_id), now_s)
            account.ended_s += seconds / account.weight
            before = self._usual_s.pop(owner, seconds)
            self._usual_s[owner] = before + _RECENT * (seconds - before)
            if len(self._usual_s) > _REMEMBERED:
                del self._usual_s[next(iter(self._usual_s))]

    def usual_s(self, owner: UserId, *, default: float | None) -> float | None:
        """How long the owner's jobs took lately, in seconds."""
        return self._usual_s.get(owner, default)

    def weight(self, owner: UserId) -> float:
        account = self._accounts.get(owner)
        return account.weight if account is not None else 1.0


def _duration_s(since_s: float, now_s: float) -> float:
    return max(MOMENT_S, now_s - since_s)
