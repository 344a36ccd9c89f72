"""Spare engines: real processes, of which a second one waits and takes the place of the one that is lost."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.dispatch.engines import SLOT, Bench, EngineLost, Listener, engine_config, node

from safelight.core.job import JobState
from safelight.dispatch.backends.local import LocalBackend, spare_of
from safelight.dispatch.backends.slot_dirs import SlotDirs
from safelight.sandbox import keeper

pytestmark = pytest.mark.anyio

NUMBER = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}


def bench(folder: Path, **config: object) -> Bench:
    dirs = SlotDirs(folder / "workers")
    backend = LocalBackend(
        {SLOT: engine_config(**config, pack_copies=str(dirs.packs(SLOT)))},
        spares={SLOT: engine_config(**config, pack_copies=str(dirs.packs(spare_of(SLOT))))},
        environment=dict(os.environ),
        slot_dirs=dirs,
    )
    return Bench(backend, Listener(), folder / "staging")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Bench]:
    under_test = bench(tmp_path)
    await under_test.backend.start(under_test.listener)
    yield under_test
    await under_test.backend.stop()


def engines() -> set[int]:
    """The engine processes below this one."""
    found = set()
    for tasks in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = (tasks.parent / "comm").read_text().strip()
            is_ours = "safelight.runtime.main" in tasks.read_text() and name not in keeper.NAMES
            is_engine = is_ours and _is_below(int(tasks.parent.name), os.getpid())
        except OSError:
            continue
        if is_engine:
            found.add(int(tasks.parent.name))
    return found


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid == ancestor:
            return True
    return False


async def waiting_spare(engine: Bench) -> None:
    """Wait until a second process has copied its packs, and a little longer."""
    copies = engine.staging.parent / "workers" / "packs" / spare_of(SLOT)
    async with asyncio.timeout(60):
        while not any(copies.glob("*")) or len(engines()) < 2:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)


async def test_the_spare_takes_the_place_of_a_lost_engine_and_another_spare_follows(engine: Bench) -> None:
    first = await engine.ready()
    await waiting_spare(engine)
    for _ in range(2):
        before = engines()
        os.kill(first.info.pid, signal.SIGKILL)
        _, lost = await engine.listener.until(EngineLost)
        assert "SIGKILL" in lost.reason
        after = await engine.ready()
        assert after.info.pid in before - {first.info.pid}, "it had started before"
        _, done = await engine.run(NUMBER, "2")
        assert done.outcome is JobState.COMPLETED
        async with asyncio.timeout(60):
            while not engines() - before:  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        first = after


async def test_a_drained_slot_has_no_spare_either(engine: Bench) -> None:
    await engine.ready()
    await waiting_spare(engine)
    engine.backend.drain(SLOT, "needed elsewhere")
    await engine.listener.until(EngineLost)
    async with asyncio.timeout(60):
        while engines():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
    engine.backend.resume(SLOT)
    await engine.ready()


async def test_a_spare_that_dies_is_replaced_and_nobody_hears_of_it(engine: Bench) -> None:
    first = await engine.ready()
    await waiting_spare(engine)
    [spare] = engines() - {first.info.pid}
    os.kill(spare, signal.SIGKILL)
    async with asyncio.timeout(60):
        while len(engines() - {spare}) < 2:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
    _, done = await engine.run(NUMBER, "2")
    assert done.outcome is JobState.COMPLETED


async def test_all_processes_end_with_the_backend(tmp_path: Path) -> None:
    engine = bench(tmp_path)
    await engine.backend.start(engine.listener)
    await engine.ready()
    await waiting_spare(engine)
    await engine.backend.stop()
    async with asyncio.timeout(60):
        while engines():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_the_next_engine_is_ready_in_a_tenth_of_the_time_of_a_start(tmp_path: Path) -> None:
    engine = bench(tmp_path, node_packages=("safelight.nodes",))
    since_s = time.monotonic()
    await engine.backend.start(engine.listener)
    first = await engine.ready()
    start_s = time.monotonic() - since_s
    await asyncio.sleep(3 * start_s)  # the spare starts beside an engine that does nothing
    since_s = time.monotonic()
    os.kill(first.info.pid, signal.SIGKILL)
    await engine.ready()
    replaced_s = time.monotonic() - since_s
    print(f"a start took {start_s:.2f} s, the replacement of a lost engine {replaced_s:.3f} s")
    assert replaced_s < start_s / 5
    await engine.backend.stop()
