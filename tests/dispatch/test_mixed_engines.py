"""Slots of several engine kinds in one queue: who runs what, in what order, and that no user loses by it."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.database import ANNA as ANNA_WHO
from tests.database import BEN as BEN_WHO
from tests.dispatch.harness import Harness, at_once, done, make_harness, running
from tests.dispatch.test_affinity import ANNA, USERS, job, place, waiting
from tests.dispatch.test_scheduling import LARGE, all_ready, states

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobState, JobSummary
from safelight.core.pool import Capabilities, QueueKey, fits
from safelight.core.worker import SlotId, SlotState
from safelight.dispatch.scheduling.affinity import Affinity, Pick, SlotView
from safelight.dispatch.scheduling.fairness import FairQueue
from safelight.services.placement import Placement

COMFYUI = EngineKind("comfyui")
ONLY_OURS, ONLY_ITS, BOTH = frozenset([OWN]), frozenset([COMFYUI]), frozenset([OWN, COMFYUI])
S0, S1, S2 = SlotId("s0"), SlotId("s1"), SlotId("s2")


def own(name: str, *warm: str, idle: bool = True) -> SlotView:
    return place(name, *warm, idle=idle)


def its(name: str, *warm: str, idle: bool = True, rank: int = 1) -> SlotView:
    return place(name, *warm, idle=idle, engine=COMFYUI, rank=rank)


def test_a_job_runs_on_an_engine_that_can_run_it() -> None:
    affinity = waiting(ANNA)
    slots = [own("a"), its("b")]
    assert affinity.pick([job(ANNA, engines=ONLY_ITS)], slots, now_s=0).slot == "b"
    assert affinity.pick([job(ANNA, engines=ONLY_OURS)], slots, now_s=0).slot == "a"
    assert affinity.pick([job(ANNA, engines=ONLY_ITS)], [own("a"), its("b", idle=False)], now_s=0).slot is None
    assert affinity.pick([job(ANNA, engines=BOTH, pool=LARGE)], slots, now_s=0).slot is None


def test_the_preferred_engine_runs_a_job_if_it_is_idle_and_another_if_it_is_not() -> None:
    affinity = waiting(ANNA)
    one = job(ANNA, engines=BOTH)
    assert affinity.pick([one], [its("b"), own("a")], now_s=0).slot == "a"
    assert affinity.pick([one], [its("b", rank=0), place("a", rank=1)], now_s=0).slot == "b"
    assert affinity.pick([one], [its("b"), own("a", idle=False)], now_s=0).slot == "b"


def test_warm_models_do_not_overrule_the_preferred_engine() -> None:
    affinity = waiting(ANNA)
    one = job(ANNA, engines=BOTH, models=["m"])
    assert affinity.pick([one], [own("a"), its("b", "m")], now_s=0).slot == "a"
    assert affinity.pick([one], [own("a"), its("b", "m", idle=False)], now_s=0).slot == "a", "and nobody waits for it"
    assert affinity.pick([one], [own("a"), own("c", "m")], now_s=0).slot == "c"
    assert affinity.pick([one], [own("a", "m", idle=False), its("b")], now_s=0) == Pick(None, None, (ANNA,))


def test_an_owner_who_is_bound_to_a_slot_of_another_kind_is_not_held_back() -> None:
    bound_elsewhere = SlotView(S1, Capabilities(engine=COMFYUI), frozenset(), True, {ANNA: Capabilities()})
    affinity = waiting(ANNA)
    assert affinity.pick([job(ANNA, engines=ONLY_ITS)], [bound_elsewhere], now_s=0).slot == S1
    assert affinity.pick([job(ANNA, engines=BOTH)], [bound_elsewhere], now_s=0).slot is None


@dataclass(frozen=True)
class Arrival:
    at: float
    owner: UserId
    engines: frozenset[EngineKind]
    length: float


@dataclass(frozen=True)
class Start:
    at: float
    job: JobSummary
    slot: SlotId
    idle: tuple[SlotId, ...]
    """The slots that were idle, this one included."""


def simulate(arrivals: Sequence[Arrival], kinds: Sequence[EngineKind]) -> list[Start]:
    """The starts in their order, on slots of these kinds, the own kind preferred."""
    fair, affinity = FairQueue(), Affinity(max_wait_s=0.0)
    slots = {SlotId(f"s{n}"): kind for n, kind in enumerate(kinds)}
    occupied: dict[SlotId, JobSummary] = {}
    queues: dict[QueueKey, list[JobSummary]] = {}
    lengths = {str(n): arrival.length for n, arrival in enumerate(arrivals)}
    starts: list[Start] = []
    events = [(arrival.at, n, "arrives", str(n)) for n, arrival in enumerate(arrivals)]
    heapq.heapify(events)
    while events:
        now, _, what, name = heapq.heappop(events)
        if what == "arrives":
            arrival = arrivals[int(name)]
            one = job(arrival.owner, job_id=name, engines=arrival.engines)
            queues.setdefault(one.queue_key, []).append(one)
            if fair.add(one.queue_key, now_s=now):
                affinity.add(arrival.owner)
        else:
            ended = occupied.pop(SlotId(name))
            fair.end(ended.owner_id, ended.id, now_s=now)
            affinity.end(ended.owner_id, SlotId(name))
        if events and events[0][0] == now:
            continue
        while True:
            views = [
                SlotView(slot, Capabilities(engine=kind), frozenset(), slot not in occupied, rank=int(kind != OWN))
                for slot, kind in slots.items()
            ]
            idle = [view.has for view in views if view.is_idle]
            keys = [key for key in fair.order(now_s=now) if any(fits(key.requirements, has) for has in idle)]
            pick = affinity.pick((queues[key][0] for key in keys), views, now_s=now)
            if pick.job is None or pick.slot is None:
                break
            starts.append(Start(now, pick.job, pick.slot, tuple(slot for slot in slots if slot not in occupied)))
            occupied[pick.slot] = pick.job
            key = pick.job.queue_key
            queues[key].pop(0)
            fair.start(key.owner_id, JobId(pick.job.id), now_s=now)
            affinity.start(key.owner_id, pick.slot)
            if not queues[key] and fair.remove(key):
                affinity.remove(key.owner_id)
            heapq.heappush(events, (now + lengths[pick.job.id], len(starts) + len(arrivals), "ends", pick.slot))
    return starts


KINDS = st.lists(st.sampled_from([OWN, COMFYUI]), max_size=3).map(lambda more: [OWN, COMFYUI, *more])
ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.floats(0, 40),
        st.sampled_from(USERS),
        st.sampled_from([ONLY_OURS, ONLY_ITS, BOTH]),
        st.floats(0.01, 20),
    ),
    min_size=1,
    max_size=40,
)


@given(ARRIVALS, KINDS)
def test_every_job_runs_once_on_an_engine_that_can_run_it(arrivals: list[Arrival], kinds: list[EngineKind]) -> None:
    starts = simulate(arrivals, kinds)
    assert sorted(start.job.id for start in starts) == sorted(str(n) for n in range(len(arrivals)))
    for start in starts:
        engine = kinds[int(start.slot[1:])]
        assert engine in start.job.engines
        if engine != OWN and OWN in start.job.engines:
            assert all(kinds[int(slot[1:])] != OWN for slot in start.idle), "a preferred engine was idle"


@given(ARRIVALS, KINDS)
def test_no_job_waits_while_an_engine_that_can_run_it_is_idle(arrivals: list[Arrival], kinds: list[EngineKind]) -> None:
    starts = simulate(arrivals, kinds)
    began = {start.job.id: start for start in starts}
    ends = {start.job.id: start.at + arrivals[int(start.job.id)].length for start in starts}
    for n, arrival in enumerate(arrivals):
        start = began[str(n)]
        if start.at == arrival.at:
            continue
        for slot, engine in enumerate(kinds):
            if engine in arrival.engines:
                busy = sorted((s.at, ends[s.job.id]) for s in starts if s.slot == f"s{slot}")
                assert not _gap(busy, arrival.at, start.at), "idle while the job waited"


def _gap(busy: Sequence[tuple[float, float]], begin: float, end: float) -> bool:
    now = begin
    for start, until in busy:
        if start > now and min(start, end) > now:
            return True
        now = max(now, until)
        if now >= end:
            return False
    return now < end


@given(st.lists(st.floats(0.01, 20), min_size=20, max_size=40), KINDS, st.data())
def test_a_newcomer_waits_behind_one_job_of_another_user_on_each_slot(
    lengths: list[float], kinds: list[EngineKind], data: st.DataObject
) -> None:
    """Promise 8: one user fills all engines with jobs of every kind, then another comes with any job."""
    backlog = [Arrival(0.0, ANNA, data.draw(st.sampled_from([ONLY_OURS, ONLY_ITS, BOTH])), each) for each in lengths]
    newcomer = Arrival(data.draw(st.floats(0.001, 30)), USERS[1], data.draw(st.sampled_from([ONLY_ITS, BOTH])), 1.0)
    starts = simulate([*backlog, newcomer], kinds)
    mine = next(n for n, start in enumerate(starts) if start.job.owner_id == USERS[1])
    capable = {f"s{n}" for n, engine in enumerate(kinds) if engine in newcomer.engines}
    after = [start.slot for start in starts[:mine] if start.at > newcomer.at and start.slot in capable]
    assert not after, "a job of the first user started on a slot that the newcomer waited for"


# -- the dispatcher --


def mixed(folder: Path, **words: Any) -> Any:
    """A dispatcher with two slots of our own and one of a ComfyUI."""
    return running(folder, slots=3, kinds={S2: COMFYUI}, preference=[OWN, COMFYUI], **words)


def on(*engines: EngineKind) -> dict[str, Any]:
    return {"placement": Placement(engines=frozenset(engines))}


@pytest.mark.anyio
async def test_jobs_of_both_engines_run_side_by_side(tmp_path: Path) -> None:
    async with mixed(tmp_path) as env:
        await all_ready(env)
        assert {slot.id: slot.engine for slot in env.dispatcher.access.slots()} == {S0: OWN, S1: OWN, S2: COMFYUI}
        for name in ("its", "its too"):
            await env.submit(ANNA_WHO, name, **on(COMFYUI))
        await env.submit(ANNA_WHO, "ours", **on(OWN))
        assert env.slot_of(await env.order("its")) == S2
        assert env.slot_of(await env.order("ours")) == S0
        for name, slot in (("both", S1), ("its too", S2)):
            if name == "both":
                await env.submit(BEN_WHO, "both", **on(OWN, COMFYUI))
            else:
                order = await env.order("its")
                env.say(order, done(order))
            assert env.slot_of(await env.order(name)) == slot


@pytest.mark.anyio
async def test_a_job_that_was_lost_runs_again_on_an_engine_that_can_run_it(tmp_path: Path) -> None:
    async with mixed(tmp_path) as env:
        await all_ready(env)
        await env.order(await env.submit(ANNA_WHO, "its", **on(COMFYUI)))
        env.backend.crash(S2, "gone")
        again = await env.order("its", attempt=2)
        assert env.slot_of(again) == S2
        env.say(again, done(again))
        assert (await env.end("its")).state is JobState.COMPLETED


@pytest.mark.anyio
async def test_jobs_keep_their_engines_over_a_restart(tmp_path: Path) -> None:
    async with make_harness(tmp_path, script=at_once, slots=3, kinds={S2: COMFYUI}, preference=[OWN, COMFYUI]) as env:
        await env.submit(ANNA_WHO, "its", **on(COMFYUI))
        await env.dispatcher.start()
        await env.end("its")
        assert _slots_of(env) == {"its": S2}
        await env.dispatcher.stop()


@pytest.mark.anyio
async def test_an_idle_server_keeps_one_slot_of_each_engine_and_starts_the_one_that_a_job_needs(
    tmp_path: Path,
) -> None:
    kinds = {S1: COMFYUI, S2: COMFYUI}
    async with running(
        tmp_path, slots=3, script=at_once, kinds=kinds, preference=[OWN, COMFYUI], idle_timeout_s=60.0
    ) as env:
        stopped, idle = SlotState.STOPPED, SlotState.IDLE
        await env.until(lambda: states(env) == {S0: idle, S1: idle, S2: stopped})
        env.clock.pass_s(61)
        await env.until(lambda: set(states(env).values()) == {stopped})
        await env.submit(ANNA_WHO, "its", **on(COMFYUI))
        await env.end("its")
        assert _slots_of(env) == {"its": S1}
        assert states(env)[S0] is stopped


def _slots_of(env: Harness) -> dict[str, SlotId]:
    return {order.job_id: env.slot_of(order) for order in env.orders}
