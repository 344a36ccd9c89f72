"""Metrics of the present state, read when a scraper asks: the queue, slots, devices, sockets, stored bytes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily

from safelight.core.pool import Pool
from safelight.core.worker import SlotState, SlotStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``waiting``: jobs by pool; ``oldest``: when the oldest waiting job of each pool was submitted; ``stored_bytes``:
    by class of owners; ``is_leader``: whether this server has the queue and the slots."""

    now: datetime
    waiting: Mapping[Pool, int]
    oldest: Mapping[Pool, datetime]
    stored_bytes: Mapping[str, int]
    slots: Sequence[SlotStatus]
    sockets: int
    is_leader: bool


def families(state: Snapshot) -> Iterator[GaugeMetricFamily]:
    """Every server reports its own sockets; what all servers share (the queue, slots, bytes) only the leader reports,
    so that a sum over the servers counts it once."""
    yield GaugeMetricFamily("safelight_sockets", "Open WebSockets of this server.", state.sockets)
    yield GaugeMetricFamily("safelight_leader", "Whether this server has the queue.", int(state.is_leader))
    if state.is_leader:
        yield from _queue(state)
        yield from _slots(state.slots)
        stored = GaugeMetricFamily("safelight_stored_bytes", "Bytes that are stored.", labels=["kind"])
        for kind, size in state.stored_bytes.items():
            stored.add_metric([kind], size)
        yield stored


def _queue(state: Snapshot) -> Iterator[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("safelight_queue_jobs", "Waiting jobs by pool; '' is any pool.", labels=["pool"])
    age = GaugeMetricFamily("safelight_queue_oldest_seconds", "Age of the oldest waiting job by pool.", labels=["pool"])
    for pool, count in ({Pool(""): 0} | dict(state.waiting)).items():
        jobs.add_metric([pool], count)
        at = state.oldest.get(pool)
        age.add_metric([pool], (state.now - at).total_seconds() if at is not None else 0)
    yield jobs
    yield age


def _slots(slots: Sequence[SlotStatus]) -> Iterator[GaugeMetricFamily]:
    by_state = Counter(slot.state for slot in slots)
    states = GaugeMetricFamily("safelight_slots", "Slots by state.", labels=["state"])
    for state in SlotState:
        states.add_metric([state.value], by_state[state])
    yield states
    memory = GaugeMetricFamily(
        "safelight_device_memory_bytes",
        "Memory of each slot's devices, as its engine last reported it.",
        labels=["slot", "device", "kind"],
    )
    models = GaugeMetricFamily("safelight_warm_models", "Models that a slot keeps loaded.", labels=["slot"])
    for slot in slots:
        if slot.info is None:
            continue
        models.add_metric([slot.id], len(slot.info.warm_models))
        for device in slot.info.devices:
            memory.add_metric([slot.id, device.name, "total"], device.vram_total)
            memory.add_metric([slot.id, device.name, "free"], device.vram_free)
    yield memory
    yield models
