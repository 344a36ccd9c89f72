"""Placement that knows devices: enough memory first, large devices for large jobs, a retry on a larger one."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.database import ANNA
from tests.dispatch.harness import READY, done, running
from tests.dispatch.test_affinity import job, place, waiting

from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.core.pool import Capabilities
from safelight.core.worker import Device, EngineInfo, SlotId
from safelight.dispatch.scheduling.affinity import Affinity, SlotView
from safelight.dispatch.scheduling.outgrown import OutgrownJobs
from safelight.services.model import ModelFiles
from safelight.services.model_memory import ModelMemory
from safelight.wire import messages as wire
from safelight.wire.config import OUT_OF_MEMORY

pytestmark = pytest.mark.anyio

GB = 1 << 30


def card(name: str, memory: int, *, idle: bool = True) -> SlotView:
    return SlotView(SlotId(name), Capabilities(), frozenset(), idle, memory=memory)


def picked(slots: Iterable[SlotView], needed: int) -> str | None:
    affinity = Affinity(max_wait_s=5.0, needs=lambda job: needed)
    affinity.add(ANNA.user_id)
    return affinity.pick([job(ANNA.user_id)], list(slots), now_s=0).slot


SMALL, MIDDLE, LARGE = card("small", 8 * GB), card("middle", 24 * GB), card("large", 80 * GB)


@pytest.mark.parametrize(
    ("needed", "expected"),
    [(0, "small"), (6 * GB, "small"), (20 * GB, "middle"), (60 * GB, "large"), (200 * GB, "small")],
)
def test_a_job_runs_on_the_smallest_device_that_has_enough(needed: int, expected: str) -> None:
    assert picked([LARGE, SMALL, MIDDLE], needed) == expected


def test_a_job_does_not_wait_for_a_larger_device_that_is_busy() -> None:
    """Its estimate is no more than that, and networks that do not fit are computed in parts."""
    assert picked([SMALL, card("large", 80 * GB, idle=False)], 60 * GB) == "small"


def test_a_device_of_unknown_memory_counts_as_large_enough() -> None:
    assert picked([place("cpu"), SMALL], 20 * GB) == "cpu"


def test_a_job_that_ran_out_of_memory_waits_for_a_larger_device_if_there_is_one() -> None:
    outgrown, one = OutgrownJobs(), job(ANNA.user_id, job_id="big")
    outgrown.add(one, memory=24 * GB)
    assert outgrown.too_small([SMALL, MIDDLE, LARGE]) == {JobId("big"): {"small", "middle"}}
    assert outgrown.too_small([SMALL, MIDDLE]) == {}, "there is no larger one: it may run anywhere"
    outgrown.forget(JobId("big"))
    assert outgrown.too_small([SMALL, MIDDLE, LARGE]) == {}
    too_small = SlotView(SlotId("s"), Capabilities(), frozenset(), True, too_small_for=frozenset([JobId("big")]))
    assert waiting(ANNA.user_id).pick([one], [too_small], now_s=0).job is None


async def test_a_job_is_retried_on_a_larger_device(tmp_path: Path) -> None:
    memory = {"s0": 8 * GB, "s1": 80 * GB}
    async with running(tmp_path, slots=2) as env:
        await env.until(lambda: len(env.ready) == 2)
        for slot, total in memory.items():
            device = Device(f"cuda:0 {slot}", "cuda", 0, total, total, capability="8.9")
            env.backend.say(SlotId(slot), wire.Pong(sequence=1, info=with_device(device), rss=0))
        await env.submit(ANNA, "a")
        first = await env.order("a")
        assert env.slot_of(first) == "s0", "the smaller device is tried first"
        env.backend.crash(SlotId("s0"), OUT_OF_MEMORY)
        second = await env.order("a", attempt=2)
        assert env.slot_of(second) == "s1"
        env.say(second, done(second))
        assert (await env.end("a")).state is JobState.COMPLETED


def with_device(device: Device) -> EngineInfo:
    return EngineInfo("3.11", "2.13", (device,), READY.info.pid)


def test_the_estimate_is_the_size_of_the_models_and_a_share_for_working(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "a.safetensors").write_bytes(b"x" * 1000)
    (folder / "b.safetensors").write_bytes(b"x" * 500)
    files = ModelFiles([tmp_path])
    files.refresh()
    memory = ModelMemory(files)
    assert memory.needed(["a.safetensors", "b.safetensors", "a.safetensors"]) == 1800
    assert memory.needed(["unknown.safetensors"]) == 0
    (folder / "c.safetensors").write_bytes(b"x" * 100)
    files.refresh()
    assert memory.needed(["c.safetensors"]) == 120
