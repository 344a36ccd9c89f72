"""Engines on a real Ray cluster: what its nodes and other servers can do to them. (The law: tests/ports/.)"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.dispatch.engines import TIMEOUT_S, EngineLost, Listener, Reattached, deed, engine_config, node
from tests.ray_cluster import SLOT_RESOURCE, Nodes

from safelight.core.event import CallStarted
from safelight.core.job import JobState
from safelight.core.pool import Pool
from safelight.core.worker import SlotId
from safelight.dispatch.backends.agent_messages import SlotSpec
from safelight.dispatch.backends.ray import RayBackend
from safelight.dispatch.backends.ray_cluster import Cluster, slot_resources
from safelight.wire.messages import JobDone, NamesReserved, OutputReady, Ready, ReserveNames, RunJob

pytestmark = pytest.mark.anyio

SLOT = SlotId("a")
NUMBER = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}
_servers = itertools.count()


class Host:
    """The server's side: a backend of one slot, and the messages received."""

    def __init__(self, nodes: Nodes, server: str, *, epoch: int | None = None, **options: Any) -> None:
        labels = options.pop("labels", frozenset())
        resources = options.pop("resources", None)
        self.listener = Listener()
        self.backend = RayBackend(
            {SLOT: SlotSpec(config=engine_config(slot=SLOT, **options))},
            cluster=Cluster(nodes.address, resources=resources),
            server=server,
            labels={SLOT: labels},
            epoch=epoch,
        )

    async def start(self) -> Ready:
        await self.backend.start(self.listener)
        return await self.ready()

    async def ready(self) -> Ready:
        return (await self.listener.until(Ready))[1]

    def run(self, prompt: dict[str, Any], job_id: str = "j", *, staging: Path = Path("/nowhere")) -> None:
        targets = [list(prompt)[-1]]
        order = RunJob(job_id=job_id, attempt=1, owner_id="u", prompt=prompt, targets=targets, staging=str(staging))
        self.backend.send(SLOT, order)

    async def hang(self) -> None:
        self.run(deed("hang"))
        await self.listener.until(CallStarted)

    def has_nothing_to_tell(self) -> bool:
        return self.backend._slots[SLOT]._commands.empty()

    def fall_silent(self) -> None:
        """End like a killed server: its actor stays."""
        task = self.backend._slots[SLOT]._task
        assert task is not None
        task.cancel()


@pytest.fixture
def server() -> str:
    return f"ray-{next(_servers)}"


@asynccontextmanager
async def host(nodes: Nodes, server: str, **options: Any) -> AsyncIterator[Host]:
    host = Host(nodes, server, **options)
    try:
        yield host
    finally:
        await host.backend.stop()


async def test_a_slot_whose_node_dies_moves_to_another_node(ray_nodes: Nodes, server: str) -> None:
    doomed = ray_nodes.add(slots=1, doomed="yes")
    async with host(ray_nodes, server, labels=frozenset({Pool("doomed")})) as env:
        first = await env.start()
        await env.hang()
        ray_nodes.kill(doomed)
        before, lost = await env.listener.until(EngineLost)
        assert not any(isinstance(message, EngineLost | Ready) for message in before)
        assert "the worker's actor is lost" in lost.reason
        assert await _ended(first.info.pid)
        second = ray_nodes.add(slots=1, doomed="yes")
        before, ready = await env.listener.until(Ready)
        assert before == []  # the loss was reported once
        assert ready.info.pid != first.info.pid
        env.run(NUMBER)
        assert (await env.listener.until(JobDone))[1].outcome is JobState.COMPLETED
    ray_nodes.remove(second)


async def test_a_restarted_server_reattaches_to_its_attempt(ray_nodes: Nodes, server: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as hosts:
        old = await hosts.enter_async_context(host(ray_nodes, server, epoch=1))
        first = await old.start()
        old.run({"1": node("Await", path=str(tmp_path / "go"))}, staging=tmp_path)
        asked = (await old.listener.until(ReserveNames))[1]
        old.backend.send(SLOT, NamesReserved(request_id=asked.request_id, first=7))
        actors = _actors(server)
        await _until(old.has_nothing_to_tell)
        old.fall_silent()

        new = await hosts.enter_async_context(host(ray_nodes, server, epoch=2))
        await new.backend.start(new.listener)
        before, resumed = await new.listener.until(Reattached)
        assert (before, resumed.ready.info.pid) == ([], first.info.pid)
        assert resumed.journal.numbers == {asked.request_id: 7}
        assert _actors(server) == actors
        (tmp_path / "go").touch()
        asked = (await new.listener.until(ReserveNames))[1]
        new.backend.send(SLOT, NamesReserved(request_id=asked.request_id, first=9))
        said, done = await new.listener.until(JobDone)
        assert (done.job_id, done.outcome) == ("j", JobState.COMPLETED)
        [output] = [message for message in said if isinstance(message, OutputReady)]
        assert [file.filename for file in output.files] == ["before_00007_.txt", "after_00009_.txt"]
        assert isinstance(await new.listener.next(), EngineLost)
        assert (await new.ready()).info.pid != first.info.pid
        assert await _ended(first.info.pid)
        new.run(NUMBER, "next")
        assert (await new.listener.until(JobDone))[1].job_id == "next"


async def test_a_server_that_finds_no_attempt_gets_a_new_engine(ray_nodes: Nodes, server: str) -> None:
    """The settings and node packs may have changed."""
    async with AsyncExitStack() as hosts:
        old = await hosts.enter_async_context(host(ray_nodes, server, epoch=1))
        first = await old.start()
        actors = _actors(server)
        old.fall_silent()
        new = await hosts.enter_async_context(host(ray_nodes, server, epoch=2))
        second = await new.start()
        assert await _ended(first.info.pid)
        assert _actors(server) == actors
        assert second.info.pid != first.info.pid


async def test_an_attempt_continues_under_other_resources_and_its_actor_is_replaced_after_it(
    ray_nodes: Nodes, server: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as hosts:
        old = await hosts.enter_async_context(host(ray_nodes, server, epoch=1))
        first = await old.start()
        old.run({"1": node("Await", path=str(tmp_path / "go"))}, staging=tmp_path)
        asked = (await old.listener.until(ReserveNames))[1]
        old.backend.send(SLOT, NamesReserved(request_id=asked.request_id, first=7))
        await _until(old.has_nothing_to_tell)
        old.fall_silent()

        new = await hosts.enter_async_context(host(ray_nodes, server, epoch=2, resources={"lonely": 1}))
        await new.backend.start(new.listener)
        assert (await new.listener.until(Reattached))[1].ready.info.pid == first.info.pid
        (tmp_path / "go").touch()
        asked = (await new.listener.until(ReserveNames))[1]
        new.backend.send(SLOT, NamesReserved(request_id=asked.request_id, first=9))
        assert (await new.listener.until(JobDone))[1].outcome is JobState.COMPLETED
        assert isinstance(await new.listener.next(), EngineLost)
        before, ready = await new.listener.until(Ready)
        assert (before, ready.info.pid != first.info.pid) == ([], True)
        assert len(_actors(server)) == 1
        await _until(lambda: _available("lonely") == 0)
        new.run(NUMBER, "next")
        assert (await new.listener.until(JobDone))[1].job_id == "next"


async def test_a_pending_actor_is_replaced_if_a_server_requests_other_resources(ray_nodes: Nodes, server: str) -> None:
    async with AsyncExitStack() as hosts:
        options: dict[str, Any] = {"lease_s": 2.0}
        old = await hosts.enter_async_context(
            host(ray_nodes, server, epoch=1, resources={SLOT_RESOURCE: 999}, **options)
        )
        await old.backend.start(old.listener)
        await _until(lambda: len(_actors(server)) == 1)
        old.fall_silent()
        new = await hosts.enter_async_context(host(ray_nodes, server, epoch=2, **options))
        await new.start()
        new.run(NUMBER)
        assert (await new.listener.until(JobDone))[1].outcome is JobState.COMPLETED


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ({}, {SLOT_RESOURCE: 1}),
        ({"CPU": 64.0}, {SLOT_RESOURCE: 1}),
        ({"CPU": 64.0, SLOT_RESOURCE: 2.0}, {SLOT_RESOURCE: 1}),
        ({"CPU": 64.0, SLOT_RESOURCE: 2.0, "GPU": 1.0}, {"num_gpus": 1}),
    ],
)
def test_by_default_a_slot_never_takes_only_a_cpu(offered: dict[str, float], taken: dict[str, float]) -> None:
    assert slot_resources(offered) == taken


async def test_the_later_of_two_servers_gets_the_slot(ray_nodes: Nodes, server: str) -> None:
    async with host(ray_nodes, server, epoch=2) as new, host(ray_nodes, server, epoch=1) as old:
        await old.start()
        await old.hang()
        await new.backend.start(new.listener)
        await new.listener.until(Reattached)
        _, lost = await old.listener.until(EngineLost)
        assert "another server" in lost.reason
        new.backend.kill(SLOT, "not wanted")
        await new.ready()
        old.run(NUMBER, "of the old")
        old.backend.kill(SLOT, "by the old")
        new.run(NUMBER, "of the new")
        said, done = await new.listener.until(JobDone)
        assert done.job_id == "of the new"
        assert not any(isinstance(message, EngineLost) for message in said)
        await old.backend.stop()
        new.run(NUMBER, "again")
        assert (await new.listener.until(JobDone))[1].job_id == "again"
        async with host(ray_nodes, server, epoch=1) as older:
            await older.backend.start(older.listener)
            await asyncio.wait_for(older.backend._slots[SLOT]._task or asyncio.sleep(0), TIMEOUT_S)
            assert older.listener.received.empty()


async def test_an_engine_of_an_unresponsive_server_ends_and_then_its_actor(ray_nodes: Nodes, server: str) -> None:
    async with host(ray_nodes, server, lease_s=0.5) as env:
        ready = await env.start()
        await env.hang()
        env.fall_silent()
        assert await _ended(ready.info.pid)
        assert _actors(server)
        await _until(lambda: not _actors(server))


async def test_a_drained_slot_releases_its_resources(ray_nodes: Nodes, server: str) -> None:
    options: dict[str, Any] = {"resources": {"lonely": 1}}
    async with host(ray_nodes, server, **options) as env, host(ray_nodes, server + "-other", **options) as other:
        await env.start()
        env.backend.drain(SLOT, "drained")
        assert (await env.listener.until(EngineLost))[1].reason == "drained"
        await other.start()
        env.backend.resume(SLOT)  # waits for resources, which is not a failure
        other.backend.drain(SLOT, "drained as well")
        await env.ready()
        env.run(NUMBER)
        await env.listener.until(JobDone)


async def test_stop_leaves_no_actor_even_of_a_pending_slot(ray_nodes: Nodes, server: str) -> None:
    async with host(ray_nodes, server) as env, host(ray_nodes, server + "-big", resources={SLOT_RESOURCE: 999}) as big:
        ready = await env.start()
        await big.backend.start(big.listener)
        await _until(lambda: len(_actors(server)) == 2)
    assert await _ended(ready.info.pid)
    await _until(lambda: not _actors(server))


def _available(resource: str) -> float:
    import ray

    return float(ray.available_resources().get(resource, 0))


def _actors(server: str) -> list[str]:
    import ray

    names = (actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True))
    return sorted(name for name in names if name.startswith(server))


async def _ended(pid: int) -> bool:
    def is_over() -> bool:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2][:1] in b"ZX"
        except OSError:
            return True

    await _until(is_over)
    return True


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the condition depends on other processes
            await asyncio.sleep(0.05)
