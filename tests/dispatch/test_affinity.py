"""Which job runs on which slot, simulated: users with different models, and slots that keep the last one loaded."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from safelight.core.engine_kind import ONLY_OWN, OWN, EngineKind
from safelight.core.ids import JobId, UserId
from safelight.core.job import JobState, JobSummary
from safelight.core.pool import ANY, Capabilities, Pool, QueueKey
from safelight.core.worker import SlotId
from safelight.dispatch.scheduling.affinity import Affinity, Pick, SlotView
from safelight.dispatch.scheduling.fairness import FairQueue

NOW = datetime(2026, 1, 2, tzinfo=UTC)
USERS = [UserId(name) for name in "abcde"]
LARGE = Pool("large")
WAIT_S = 5.0


def job(
    owner: UserId,
    *,
    job_id: str = "j",
    pool: Pool = ANY,
    models: Sequence[str] = (),
    engines: frozenset[EngineKind] = ONLY_OWN,
) -> JobSummary:
    return JobSummary(
        JobId(job_id), owner, JobState.QUEUED, 0, 0.0, NOW, NOW, pool=pool, models=models, engines=engines
    )


def place(
    name: str, *warm: str, idle: bool = True, labels: Sequence[Pool] = (), engine: EngineKind = OWN, rank: int = 0
) -> SlotView:
    return SlotView(SlotId(name), Capabilities(frozenset(labels), engine), frozenset(warm), idle, rank=rank)


def waiting(*owners: UserId) -> Affinity:
    affinity = Affinity(max_wait_s=WAIT_S)
    for owner in owners:
        affinity.add(owner)
    return affinity


ANNA, BEN, CLEO = USERS[:3]


def test_without_warm_models_the_queue_order_decides() -> None:
    line = [job(ANNA, models=["m"]), job(BEN)]
    assert waiting(ANNA, BEN).pick(line, [place("s")], now_s=0) == Pick(line[0], SlotId("s"))


def test_a_job_of_an_owner_who_is_bound_to_a_slot_waits_for_it() -> None:
    """Unless the job cannot run there."""
    elsewhere = SlotView(SlotId("a"), Capabilities(frozenset([LARGE])), frozenset(), True, {ANNA: Capabilities()})
    affinity = waiting(ANNA, BEN)
    line = [job(ANNA), job(BEN)]
    assert affinity.pick(line, [elsewhere, place("b", idle=False)], now_s=0) == Pick(line[1], SlotId("a"))
    assert affinity.pick(line, [elsewhere, place("b")], now_s=0) == Pick(line[0], SlotId("b"))
    large = job(ANNA, pool=LARGE)
    assert affinity.pick([large], [elsewhere, place("b")], now_s=0) == Pick(large, SlotId("a"))


def test_an_idle_slot_with_warm_models_is_preferred() -> None:
    places = [place("large", labels=[LARGE]), place("n", "n"), place("m", "m"), place("cold")]
    affinity = waiting(ANNA)
    assert affinity.pick([job(ANNA, models=["m"])], places, now_s=0).slot == "m"
    assert affinity.pick([job(ANNA, models=["x"])], places, now_s=0).slot == "cold"
    assert affinity.pick([job(ANNA, pool=LARGE)], places, now_s=0).slot == "large"


def test_a_slot_prefers_its_warm_models_until_the_first_user_has_waited_too_long() -> None:
    line = [job(ANNA, models=["x"]), job(BEN, models=["m"])]
    affinity = waiting(ANNA, BEN)
    pick = affinity.pick(line, [place("s", "m")], now_s=10)
    assert pick == Pick(line[1], SlotId("s"), (ANNA,))
    affinity.note(pick, now_s=10)
    assert affinity.wait_s([ANNA], now_s=12) == 3
    assert affinity.pick(line, [place("t", "m")], now_s=14.9).job == line[1]
    assert affinity.pick(line, [place("t", "m")], now_s=15).job == line[0]


def test_no_user_is_passed_twice_by_the_same_user_on_the_same_slot() -> None:
    line = [job(ANNA, models=["x"]), job(BEN, models=["m"])]
    affinity = waiting(ANNA, BEN)
    affinity.start(BEN, SlotId("s"))
    affinity.end(BEN, SlotId("s"))
    assert affinity.pick(line, [place("s", "m")], now_s=0).job == line[0]
    assert affinity.pick(line, [place("t", "m")], now_s=0).job == line[1]
    affinity.start(ANNA, SlotId("s"))  # her next job starts to wait again
    assert affinity.pick(line, [place("s", "m")], now_s=0).job == line[1]


def test_a_job_waits_for_the_busy_slot_that_holds_its_models_for_a_while() -> None:
    line = [job(ANNA, models=["m"])]
    places = [place("s", "m", idle=False), place("t")]
    affinity = waiting(ANNA)
    pick = affinity.pick(line, places, now_s=0)
    assert pick == Pick(None, None, (ANNA,))
    affinity.note(pick, now_s=0)
    assert affinity.pick(line, places, now_s=5) == Pick(line[0], SlotId("t"))
    behind = [*line, job(BEN)]
    assert waiting(ANNA, BEN).pick(behind, places, now_s=0) == Pick(behind[1], SlotId("t"), (ANNA,))


def test_a_job_waits_for_its_slot_only_while_those_behind_it_can_wait() -> None:
    line = [job(ANNA, models=["m"]), job(BEN)]
    affinity = waiting(ANNA, BEN)
    affinity.start(BEN, SlotId("t"))
    affinity.add(ANNA)  # queued while the other job ran there
    affinity.end(BEN, SlotId("t"))
    places = [place("s", "m", idle=False), place("t")]
    pick = affinity.pick(line, places, now_s=0)
    assert pick == Pick(None, None, (ANNA, BEN))
    affinity.note(Pick(None, None, (BEN,)), now_s=0)
    affinity.note(pick, now_s=2)
    assert affinity.pick(line, places, now_s=4) == pick
    assert affinity.pick(line, places, now_s=5) == Pick(line[0], SlotId("t"))


def test_a_slot_without_the_label_does_not_get_the_job() -> None:
    line = [job(ANNA, pool=LARGE), job(BEN)]
    assert waiting(ANNA, BEN).pick(line, [place("s")], now_s=0) == Pick(line[1], SlotId("s"))


@dataclass(frozen=True)
class Start:
    at: float
    owner: UserId
    slot: SlotId
    behind: dict[tuple[UserId, SlotId, UserId], int]
    """How many jobs of another user a user has waited behind, this one included; by user, slot and other user."""


@dataclass(frozen=True)
class Arrival:
    at: float
    owner: UserId
    model: str
    length: float


def simulate(arrivals: Sequence[Arrival], *, slots: int, wait_s: float = WAIT_S) -> tuple[list[Start], float]:
    """The starts in order, and the longest that a user who came first waited after the running jobs had ended."""
    fair, affinity = FairQueue(), Affinity(max_wait_s=wait_s)
    names = [SlotId(f"s{n}") for n in range(slots)]
    warm: dict[SlotId, str] = {}
    running: dict[SlotId, tuple[UserId, str]] = {}
    queues: dict[UserId, list[JobSummary]] = {}
    lengths = {str(n): arrival.length for n, arrival in enumerate(arrivals)}
    starts: list[Start] = []
    behind: dict[tuple[UserId, SlotId, UserId], int] = {}
    first_passed: dict[UserId, float] = {}
    longest_passed = 0.0
    events: list[tuple[float, int, str, str]] = [(a.at, n, "arrives", str(n)) for n, a in enumerate(arrivals)]
    heapq.heapify(events)
    serial = len(events)

    def begin_wait(owner: UserId) -> None:
        for key in [key for key in behind if key[0] == owner]:
            del behind[key]
        behind.update({(owner, slot, other): 1 for slot, (other, _) in running.items()})
        first_passed.pop(owner, None)

    while events:
        now, _, kind, name = heapq.heappop(events)
        if kind == "arrives":
            arrival = arrivals[int(name)]
            one = job(arrival.owner, job_id=name, models=[arrival.model])
            queues.setdefault(arrival.owner, []).append(one)
            if fair.add(QueueKey(arrival.owner), now_s=now):
                affinity.add(arrival.owner)
                begin_wait(arrival.owner)
        elif kind == "ends":
            owner, job_id = running.pop(SlotId(name))
            fair.end(owner, JobId(job_id), now_s=now)
            affinity.end(owner, SlotId(name))
        if events and events[0][0] == now:
            continue
        while True:
            order = [key.owner_id for key in fair.order(now_s=now)]
            places = [
                SlotView(slot, Capabilities(), frozenset([warm[slot]] if slot in warm else []), slot not in running)
                for slot in names
            ]
            if not order or len(running) == slots:
                break
            pick = affinity.pick((queues[owner][0] for owner in order), places, now_s=now)
            affinity.note(pick, now_s=now)
            for owner in pick.passed:
                first_passed.setdefault(owner, now)
                longest_passed = max(longest_passed, now - first_passed[owner])
            if pick.job is None or pick.slot is None:
                serial += 1
                heapq.heappush(events, (now + affinity.wait_s(pick.passed, now_s=now), serial, "wakes", ""))
                break
            owner, slot = pick.job.owner_id, pick.slot
            queues[owner].pop(0)
            running[slot] = (owner, pick.job.id)
            warm[slot] = pick.job.models[0]
            fair.start(owner, pick.job.id, now_s=now)
            affinity.start(owner, slot)
            for other in {key.owner_id for key in fair.order(now_s=now)} - {owner}:
                behind[other, slot, owner] = behind.get((other, slot, owner), 0) + 1
            starts.append(Start(now, owner, slot, dict(behind)))
            begin_wait(owner)
            if not queues[owner]:
                fair.remove(QueueKey(owner))
                affinity.remove(owner)
                for key in [key for key in behind if key[0] == owner]:
                    del behind[key]
            serial += 1
            heapq.heappush(events, (now + lengths[pick.job.id], serial, "ends", slot))
    return starts, longest_passed


ARRIVALS = st.lists(
    st.builds(Arrival, st.floats(0, 40), st.sampled_from(USERS), st.sampled_from(["m", "n", "o"]), st.floats(0.01, 20)),
    min_size=1,
    max_size=40,
)


@given(ARRIVALS, st.integers(1, 4))
def test_every_job_runs_and_no_user_is_passed_for_longer_than_max_wait(arrivals: list[Arrival], slots: int) -> None:
    starts, longest_passed = simulate(arrivals, slots=slots)
    assert len(starts) == len(arrivals)
    assert longest_passed <= WAIT_S + 1e-6


@given(st.integers(1, 4), st.data())
def test_a_newcomer_waits_behind_one_job_per_slot_even_with_warm_models(slots: int, data: st.DataObject) -> None:
    """Promise 8, with affinity: one user has a long queue on warm slots, another comes later with another model."""
    lengths = data.draw(st.lists(st.floats(0.01, 20), min_size=20, max_size=40))
    backlog = [Arrival(0.0, ANNA, "m", length) for length in lengths]
    arrival = Arrival(data.draw(st.floats(0.001, 30)), BEN, data.draw(st.sampled_from(["m", "n"])), 1.0)
    starts, _ = simulate([*backlog, arrival], slots=slots)
    his = next(n for n, start in enumerate(starts) if start.owner == BEN)
    for start in starts[:his]:
        assert all(count <= 1 for (who, _, other), count in start.behind.items() if (who, other) == (BEN, ANNA))


def test_warm_slots_save_loads() -> None:
    """Four users with one model each on four slots: with a maximum wait, models are loaded far less often."""
    arrivals = [Arrival(0.01 * n, USERS[n % 4], "mnop"[n % 4], 1.0 + (n * 7 % 5) / 10) for n in range(80)]

    def loads(wait_s: float) -> int:
        starts, _ = simulate(arrivals, slots=4, wait_s=wait_s)
        model_of = dict(zip(USERS, "mnop", strict=False))
        held: dict[SlotId, str] = {}
        count = 0
        for start in starts:
            count += held.get(start.slot) != model_of[start.owner]
            held[start.slot] = model_of[start.owner]
        return count

    assert loads(WAIT_S) < 0.6 * loads(0.0)
