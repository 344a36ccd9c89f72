"""Which job runs on which slot: the next user's job, on a slot that has its models loaded where that delays nobody
much.

Loading another model costs seconds, so an idle slot prefers a job whose models it has loaded, and a job prefers to wait
for the busy slot that has its models. In both cases somebody who is first in the queue is *passed over*: an idle slot
that could run their job takes another one, or stays idle. What keeps that fair:

* A user is passed over for at most ``max_wait_s`` seconds, counted from the first time; then their job runs on
  whichever slot is idle. If a user ahead has exhausted their wait, their job runs next.
* A user is not passed over on a slot by a user behind them whose job on that slot they have already waited for. So
  affinity never makes anybody wait behind a second job of another user on the same slot, and promise 8 holds.

A *wait* begins when the user's first job arrives, and again whenever a job of theirs starts.

Pure apart from its state; times are seconds of a monotonic clock.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from safelight.core.ids import JobId, UserId
from safelight.core.job import JobSummary
from safelight.core.pool import Capabilities, fits
from safelight.core.worker import SlotId

MOMENT_S = 0.001
"""A wait counts as over this long before its end, so that rounding leaves no rest of it when its timer fires."""

LOOKAHEAD = 16
"""How many jobs a pick reads to find one whose models are loaded: each costs a query."""


@dataclass(frozen=True, slots=True)
class SlotView:
    """A slot as a pick sees it. ``warm``: the model files that its engine has loaded, or will have after its job."""

    slot: SlotId
    has: Capabilities
    warm: frozenset[str]
    is_idle: bool
    bound: Mapping[UserId, Capabilities] = field(default_factory=dict)
    """Users whom the state of a node pack binds to another slot, with the capabilities of that slot."""
    rank: int = 0
    """Of its engine kind: of the idle slots that may run a job, one with the lowest rank runs it."""
    memory: int = 0
    """Of its device, in bytes; 0 if it is not known, or if it is the machine's own."""
    too_small_for: frozenset[JobId] = frozenset()
    """Jobs that ran out of memory on a device that was not smaller, while another slot has a larger one."""

    def takes(self, job: JobSummary) -> bool:
        elsewhere = self.bound.get(job.owner_id)
        if job.id in self.too_small_for or not fits(job.requirements, self.has):
            return False
        return elsewhere is None or not fits(job.requirements, elsewhere)

    def has_warm(self, job: JobSummary) -> bool:
        return bool(job.models) and self.warm.issuperset(job.models)


@dataclass(frozen=True, slots=True)
class Pick:
    """``job`` is to run on ``slot``; both are ``None`` if no job is to start. ``passed``: the users whose job could run
    and does not."""

    job: JobSummary | None
    slot: SlotId | None
    passed: tuple[UserId, ...] = ()


@dataclass(slots=True)
class _Wait:
    """``began``: the step after which the wait began; ``passed_s``: since when the user has been passed over."""

    began: int
    passed_s: float = math.inf


class Affinity:
    """Mutable: since when each user waits, and until when each user held which slot."""

    def __init__(self, *, max_wait_s: float, needs: Callable[[JobSummary], int] = lambda job: 0) -> None:
        """``needs``: an estimate of the memory that a job needs on its device, in bytes; 0: not known."""
        self._max_wait_s = max_wait_s
        self._needs = needs
        self._step = 0
        self._waits: dict[UserId, _Wait] = {}
        self._held: dict[SlotId, dict[UserId, float]] = {}  # the step of the last end, or infinity while a job runs

    def add(self, owner: UserId) -> None:
        """The owner has a waiting job, and had none before."""
        self._waits[owner] = _Wait(self._step)

    def remove(self, owner: UserId) -> None:
        """The owner has no waiting job any more."""
        self._waits.pop(owner, None)
        if not self._waits:
            self._held = {slot: {o: t for o, t in held.items() if t == math.inf} for slot, held in self._held.items()}

    def start(self, owner: UserId, slot: SlotId) -> None:
        self._step += 1
        self._held.setdefault(slot, {})[owner] = math.inf
        if owner in self._waits:
            self._waits[owner] = _Wait(self._step)

    def end(self, owner: UserId, slot: SlotId) -> None:
        self._step += 1
        self._held.setdefault(slot, {})[owner] = self._step

    def note(self, pick: Pick, *, now_s: float) -> None:
        """The pick was carried out."""
        for owner in pick.passed:
            if (wait := self._waits.get(owner)) is not None:
                wait.passed_s = min(wait.passed_s, now_s)

    def wait_s(self, owners: Iterable[UserId], *, now_s: float) -> float:
        """Seconds until the first of ``owners`` must not be passed over any more."""
        ends = [wait.passed_s + self._max_wait_s for owner in owners if (wait := self._waits.get(owner)) is not None]
        return max(0.0, min(ends, default=now_s) - now_s)

    def pick(self, jobs: Iterable[JobSummary], slots: Sequence[SlotView], *, now_s: float) -> Pick:
        """The next job and its slot. ``jobs``: the next job of each key, in the order of the queue; read as far as is
        needed.

        Reads only, one look-up at a time: the thread of a transaction may call it while the event loop runs.
        """
        idle = [slot for slot in slots if slot.is_idle]
        busy = [slot for slot in slots if not slot.is_idle]
        some_are_warm = any(slot.warm for slot in idle)
        ahead: list[JobSummary] = []
        cold: Pick | None = None
        for count, job in enumerate(jobs, 1):
            takers = sorted((p for p in idle if p.takes(job)), key=self._order(job, idle))
            free = [slot for slot in takers if self._may_pass(ahead, slot, job.owner_id, now_s)]
            for slot in free:
                if slot.rank == free[0].rank and slot.has_warm(job):
                    return Pick(job, slot.slot, _passed(ahead, slot))
            if takers:
                prefers_to_wait = self._may_wait(job.owner_id, now_s) and any(
                    slot.rank <= takers[0].rank and slot.takes(job) and slot.has_warm(job) for slot in busy
                )
                if cold is None and free and not prefers_to_wait:
                    cold = Pick(job, free[0].slot, _passed(ahead, free[0]))
                elif cold is None and not free and not self._may_wait(job.owner_id, now_s):
                    # The users ahead must not be passed over, and so must not keep the slot idle any longer.
                    cold = Pick(next(one for one in ahead if takers[0].takes(one)), takers[0].slot)
                ahead.append(job)
            if cold is not None and (count >= LOOKAHEAD or not some_are_warm):
                break
        return cold or Pick(None, None, tuple(job.owner_id for job in ahead))

    def _order(self, job: JobSummary, idle: Sequence[SlotView]) -> "Callable[[SlotView], tuple[int, ...]]":
        """The best slot for a job that no slot is warm for: a preferred engine, enough memory, few labels, nothing
        loaded, and of those the smallest device, so that large ones stay free for large jobs."""
        needed = self._needs(job) if any(slot.memory for slot in idle) else 0

        def order(slot: SlotView) -> tuple[int, ...]:
            is_too_small = int(0 < slot.memory < needed)
            return slot.rank, is_too_small, len(slot.has.labels), len(slot.warm), slot.memory

        return order

    def _may_pass(self, ahead: Iterable[JobSummary], slot: SlotView, by: UserId, now_s: float) -> bool:
        passed = {one.owner_id for one in ahead if slot.takes(one)} - {by}
        return all(self._may_wait(one, now_s) and not self._waited_behind(one, by, slot) for one in passed)

    def _may_wait(self, owner: UserId, now_s: float) -> bool:
        wait = self._waits.get(owner)
        return wait is not None and now_s < min(wait.passed_s, now_s) + self._max_wait_s - MOMENT_S

    def _waited_behind(self, owner: UserId, other: UserId, slot: SlotView) -> bool:
        return self._held.get(slot.slot, {}).get(other, -math.inf) > self._waits[owner].began


def _passed(ahead: Iterable[JobSummary], slot: SlotView) -> tuple[UserId, ...]:
    return tuple(one.owner_id for one in ahead if slot.takes(one))
