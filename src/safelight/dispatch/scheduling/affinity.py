"""Which job on which slot: the next user in line, on a slot that holds the job's models where that costs nobody much.

A slot that loads another model loses seconds, so an idle slot would rather run a job whose models it holds, and a job
would rather wait for the busy slot that holds its models. Either way somebody who is first in line is *passed*: an idle
slot that could run the job takes another's, or stays idle. What keeps that fair:

* A user is passed for ``wait_s`` seconds at most, counted from the first time, and then goes wherever a slot is idle.
  If somebody ahead may not be passed, it is he who goes.
* Nobody is passed on a slot by a user behind whose job on that slot he has waited already. So affinity never makes
  anybody wait behind a second job of another user on the same slot, and promise 8 holds with it as without it.

A *wait* begins when the user's first job arrives, and anew with each job of his that starts.

Pure but for what it remembers; times are seconds of a monotonic clock.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from safelight.core.ids import UserId
from safelight.core.job import JobSummary
from safelight.core.pool import Pool, fits
from safelight.core.worker import SlotId

MOMENT_S = 0.001
"""A patience that ends within a moment has ended: who is woken at its end must not find a rest of it by rounding."""

LOOKAHEAD = 16
"""How many lanes a pick looks at for a warm one: each costs a query."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot as a pick sees it. ``warm``: the model files that its engine holds, or will when its job is done."""

    slot: SlotId
    labels: frozenset[Pool]
    warm: frozenset[str]
    is_idle: bool
    bound: Mapping[UserId, frozenset[Pool]] = field(default_factory=dict)
    """Who is bound to another slot, whose labels these are, by what a node pack keeps for them there."""

    def takes(self, job: JobSummary) -> bool:
        elsewhere = self.bound.get(job.owner_id)
        return fits(job.pool, self.labels) and (elsewhere is None or not fits(job.pool, elsewhere))

    def has_warm(self, job: JobSummary) -> bool:
        return bool(job.models) and self.warm.issuperset(job.models)


@dataclass(frozen=True, slots=True)
class Pick:
    """``job`` is to run on ``slot``; with ``None`` nothing is. ``passed``: whose job could have, and does not."""

    job: JobSummary | None
    slot: SlotId | None
    passed: tuple[UserId, ...] = ()


@dataclass(slots=True)
class _Wait:
    """``began``: the turn after which the wait began; ``passed_s``: since when the user has been passed."""

    began: int
    passed_s: float = math.inf


class Affinity:
    """Mutable: who waits since when, and who held which slot until when."""

    def __init__(self, *, wait_s: float) -> None:
        self._wait_s = wait_s
        self._turn = 0
        self._waits: dict[UserId, _Wait] = {}
        self._held: dict[SlotId, dict[UserId, float]] = {}  # the turn of the last end, or infinity while it runs

    def wait(self, owner: UserId) -> None:
        """The owner had no job that waited, and has one now."""
        self._waits[owner] = _Wait(self._turn)

    def rest(self, owner: UserId) -> None:
        """The owner has no job that waits any more."""
        self._waits.pop(owner, None)
        if not self._waits:
            self._held = {slot: {o: t for o, t in held.items() if t == math.inf} for slot, held in self._held.items()}

    def start(self, owner: UserId, slot: SlotId) -> None:
        self._turn += 1
        self._held.setdefault(slot, {})[owner] = math.inf
        if owner in self._waits:
            self._waits[owner] = _Wait(self._turn)

    def end(self, owner: UserId, slot: SlotId) -> None:
        self._turn += 1
        self._held.setdefault(slot, {})[owner] = self._turn

    def note(self, pick: Pick, *, now_s: float) -> None:
        """The pick was made so."""
        for owner in pick.passed:
            if (wait := self._waits.get(owner)) is not None:
                wait.passed_s = min(wait.passed_s, now_s)

    def patience_s(self, owners: Iterable[UserId], *, now_s: float) -> float:
        """After how many seconds the first of ``owners`` is not to be passed any more."""
        ends = [wait.passed_s + self._wait_s for owner in owners if (wait := self._waits.get(owner)) is not None]
        return max(0.0, min(ends, default=now_s) - now_s)

    def pick(self, line: Iterable[JobSummary], places: Sequence[SlotView], *, now_s: float) -> Pick:
        """Whom the line's order and the warm slots make the next. ``line`` is read as far as is needed.

        Only reads, one look-up at a time: the thread of a transaction may call it while the loop goes on.
        """
        idle = [place for place in places if place.is_idle]
        busy = [place for place in places if not place.is_idle]
        some_are_warm = any(place.warm for place in idle)
        ahead: list[JobSummary] = []
        cold: Pick | None = None
        for count, job in enumerate(line, 1):
            takers = sorted((p for p in idle if p.takes(job)), key=lambda p: (len(p.labels), len(p.warm)))
            free = [place for place in takers if self._may_pass(ahead, place, job.owner_id, now_s)]
            for place in free:
                if place.has_warm(job):
                    return Pick(job, place.slot, _of(ahead, place))
            if takers:
                rather_waits = self._has_patience(job.owner_id, now_s) and any(
                    place.takes(job) and place.has_warm(job) for place in busy
                )
                if cold is None and free and not rather_waits:
                    cold = Pick(job, free[0].slot, _of(ahead, free[0]))
                elif cold is None and not free and not self._has_patience(job.owner_id, now_s):
                    # Who is ahead may not be passed, and so must not keep the slot idle any longer.
                    cold = Pick(next(one for one in ahead if takers[0].takes(one)), takers[0].slot)
                ahead.append(job)
            if cold is not None and (count >= LOOKAHEAD or not some_are_warm):
                break
        return cold or Pick(None, None, tuple(job.owner_id for job in ahead))

    def _may_pass(self, ahead: Iterable[JobSummary], place: SlotView, by: UserId, now_s: float) -> bool:
        passed = {one.owner_id for one in ahead if place.takes(one)} - {by}
        return all(self._has_patience(one, now_s) and not self._waited_behind(one, by, place) for one in passed)

    def _has_patience(self, owner: UserId, now_s: float) -> bool:
        wait = self._waits.get(owner)
        return wait is not None and now_s < min(wait.passed_s, now_s) + self._wait_s - MOMENT_S

    def _waited_behind(self, owner: UserId, other: UserId, place: SlotView) -> bool:
        return self._held.get(place.slot, {}).get(other, -math.inf) > self._waits[owner].began


def _of(ahead: Iterable[JobSummary], place: SlotView) -> tuple[UserId, ...]:
    return tuple(one.owner_id for one in ahead if place.takes(one))
