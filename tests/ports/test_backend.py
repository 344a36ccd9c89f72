"""The law of backends (``dispatch/backend.py``), tested on each backend."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from tests import ray_cluster
from tests.dispatch.engines import EngineLost, Listener, Reattached, deed, engine_config, node
from tests.events import report

from safelight.core.event import CallStarted, NodeCall
from safelight.core.job import JobState
from safelight.core.worker import EngineInfo, SlotId
from safelight.dispatch.backend import Backend
from safelight.dispatch.backends.agent_messages import SlotSpec
from safelight.dispatch.backends.fake import Crash, FakeBackend
from safelight.dispatch.backends.local import LocalBackend
from safelight.dispatch.backends.ray import RayBackend
from safelight.dispatch.backends.ray_cluster import Cluster
from safelight.wire.messages import FreeMemory, JobDone, Pong, Ready, RunJob, ToEngine, ToServer

pytestmark = pytest.mark.anyio

SLOTS = (SlotId("a"), SlotId("b"))


def number(value: int) -> dict[str, Any]:
    """A job of two calls; with a new value, both run."""
    return {"1": node("Number", value=value), "2": node("Show", value=["1", 0])}


NUMBER = number(7)
_servers = itertools.count()


@dataclass
class Case:
    """``make``: another server's backend, on the same machines."""

    make: Callable[[], Backend]
    backend: Backend
    listener: Listener

    async def messages_until(self, slot: SlotId, kind: type) -> list[Any]:
        """The slot's messages up to the first of ``kind``, without heartbeats."""
        messages: list[Any] = []
        while not messages or not isinstance(messages[-1], kind):
            where, message = await asyncio.wait_for(self.listener.received.get(), 30)
            if where == slot and not isinstance(message, Pong):
                messages.append(message)
        return messages


def behave(message: ToEngine) -> Iterable[ToServer | Crash]:
    """Does what the real engine does with the jobs of this suite."""
    if not isinstance(message, RunJob):
        return
    about = {"job_id": message.job_id, "attempt": message.attempt}
    for call_id in message.prompt:
        yield report(CallStarted(NodeCall(call_id, call_id, None, call_id)), **about)
    what = message.prompt["1"]["inputs"].get("what")
    if what == "be_killed":
        yield Crash("the worker process was killed by signal 9 (SIGKILL)")
    elif what is None:
        yield JobDone(outcome=JobState.COMPLETED, **about)


@pytest.fixture(params=["local", "ray", "fake"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "local":

        def make() -> Backend:
            # With the same name, an engine would take another's import for one that had ended its process
            # (runtime/import_journal.py).
            number = next(_servers)
            configs = {slot: engine_config(slot=f"{slot}{number}") for slot in SLOTS}
            return LocalBackend(configs, environment=os.environ)

    elif request.param == "ray":
        nodes: ray_cluster.Nodes = request.getfixturevalue("ray_nodes")
        server = f"port-{next(_servers)}"

        def make() -> Backend:
            specs = {slot: SlotSpec(config=engine_config(slot=slot)) for slot in SLOTS}
            return RayBackend(specs, cluster=Cluster(nodes.address), server=server)

    else:
        info = EngineInfo("3", "2", (), 1)

        def make() -> Backend:
            return FakeBackend(SLOTS, ready=Ready(info=info, nodes=[]), script=behave)

    case = Case(make, make(), Listener())
    yield case
    await case.backend.stop()


def job(prompt: dict[str, Any], job_id: str = "j") -> RunJob:
    return RunJob(job_id=job_id, attempt=1, owner_id="u", prompt=prompt, targets=[list(prompt)[-1]], staging="/nowhere")


async def test_start_returns_and_each_slot_gets_ready(case: Case) -> None:
    assert tuple(case.backend.slots) == SLOTS
    await case.backend.start(case.listener)
    assert case.listener.received.empty()
    ready = {(await case.listener.received.get())[0] for _ in SLOTS}
    assert ready == set(SLOTS)


async def test_messages_arrive_in_the_order_in_which_they_were_sent(case: Case) -> None:
    await case.backend.start(case.listener)
    await case.messages_until(SLOTS[0], Ready)
    for count in range(20):
        case.backend.send(SLOTS[0], job(number(count), f"j{count}"))
    messages: list[Any] = []
    for _ in range(20):
        messages += await case.messages_until(SLOTS[0], JobDone)
    assert [m.job_id for m in messages if isinstance(m, JobDone)] == [f"j{n}" for n in range(20)]
    assert [m.call.id for m in messages if isinstance(m, CallStarted)] == ["1", "2"] * 20


async def test_a_crash_is_reported_once_after_the_last_message(case: Case) -> None:
    await case.backend.start(case.listener)
    await case.messages_until(SLOTS[0], Ready)
    case.backend.send(SLOTS[0], job(deed("be_killed")))
    *before, lost = await case.messages_until(SLOTS[0], EngineLost)
    assert isinstance(before[-1], CallStarted)
    assert "SIGKILL" in lost.reason
    assert [type(m) for m in await case.messages_until(SLOTS[0], Ready)] == [Ready]
    case.backend.send(SLOTS[0], job(NUMBER))
    assert (await case.messages_until(SLOTS[0], JobDone))[-1].outcome is JobState.COMPLETED


async def test_kill_ends_one_slot_with_its_reason(case: Case) -> None:
    await case.backend.start(case.listener)
    ready = set()
    while ready != set(SLOTS):
        ready.add((await case.listener.received.get())[0])
    case.backend.send(SLOTS[0], job(deed("hang")))
    await case.messages_until(SLOTS[0], CallStarted)
    case.backend.kill(SLOTS[0], "enough")
    case.backend.kill(SLOTS[0], "enough of enough")
    assert (await case.messages_until(SLOTS[0], EngineLost))[-1].reason == "enough"
    assert [type(m) for m in await case.messages_until(SLOTS[0], Ready)] == [Ready]
    case.backend.send(SLOTS[1], job(NUMBER))
    assert not [m for m in await case.messages_until(SLOTS[1], JobDone) if isinstance(m, EngineLost | Ready)]


async def test_the_listener_is_never_called_from_inside_a_call(case: Case) -> None:
    await case.backend.start(case.listener)
    await case.messages_until(SLOTS[0], Ready)
    while not case.listener.received.empty():
        case.listener.received.get_nowait()
    case.backend.send(SLOTS[0], job(NUMBER))
    assert case.listener.received.empty()
    await case.messages_until(SLOTS[0], JobDone)
    case.backend.kill(SLOTS[0], "enough")
    assert case.listener.received.empty()
    await case.messages_until(SLOTS[0], EngineLost)


async def test_send_to_a_slot_that_is_not_ready_is_dropped(case: Case) -> None:
    await case.backend.start(case.listener)
    case.backend.send(SLOTS[0], job(NUMBER, "too early"))
    await case.messages_until(SLOTS[0], Ready)
    case.backend.send(SLOTS[0], FreeMemory(free_memory=True))
    case.backend.send(SLOTS[0], job(NUMBER, "in time"))
    messages = await case.messages_until(SLOTS[0], JobDone)
    assert [m.job_id for m in messages if isinstance(m, JobDone)] == ["in time"]
    assert [type(m) for m in messages].count(CallStarted) == len(NUMBER)


async def test_a_drained_slot_has_no_engine_until_it_is_resumed(case: Case) -> None:
    await case.backend.start(case.listener)
    ready = set()
    while ready != set(SLOTS):
        ready.add((await case.listener.received.get())[0])
    case.backend.drain(SLOTS[0], "drained")
    assert (await case.messages_until(SLOTS[0], EngineLost))[-1].reason == "drained"
    case.backend.send(SLOTS[0], job(NUMBER, "to nobody"))
    case.backend.send(SLOTS[1], job(NUMBER))
    await case.messages_until(SLOTS[1], JobDone)
    case.backend.resume(SLOTS[0])
    assert [type(m) for m in await case.messages_until(SLOTS[0], Ready)] == [Ready]
    case.backend.send(SLOTS[0], job(NUMBER, "again"))
    assert (await case.messages_until(SLOTS[0], JobDone))[-1].job_id == "again"


async def test_detached_attempts_are_reattached_if_engines_outlive_their_server(case: Case) -> None:
    await case.backend.start(case.listener)
    await case.messages_until(SLOTS[0], Ready)
    case.backend.send(SLOTS[0], job({"1": node("Async", value=1, seconds=3.0), "2": node("Show", value=["1", 0])}))
    await case.messages_until(SLOTS[0], CallStarted)
    await case.backend.stop(detach=[SLOTS[0]])

    case.backend, case.listener = case.make(), Listener()
    await case.backend.start(case.listener)
    if not case.backend.detached_s:
        assert [type(m) for m in await case.messages_until(SLOTS[0], Ready)] == [Ready]
        return
    [resumed] = await case.messages_until(SLOTS[0], Reattached)
    assert resumed.journal.job_id == "j"
    *messages, _ = await case.messages_until(SLOTS[0], EngineLost)
    assert [m.outcome for m in messages if isinstance(m, JobDone)] == [JobState.COMPLETED]
    assert messages[-1].job_id == "j"  # nothing comes between its end and the engine's
    assert [type(m) for m in await case.messages_until(SLOTS[0], Ready)] == [Ready]
    case.backend.send(SLOTS[0], job(NUMBER, "next"))
    assert (await case.messages_until(SLOTS[0], JobDone))[-1].job_id == "next"


async def test_nothing_is_sent_after_stop(case: Case) -> None:
    await case.backend.start(case.listener)
    await case.messages_until(SLOTS[0], Ready)
    case.backend.send(SLOTS[0], job(deed("hang")))
    await case.messages_until(SLOTS[0], CallStarted)
    await case.backend.stop()
    while not case.listener.received.empty():
        case.listener.received.get_nowait()
    case.backend.send(SLOTS[0], job(NUMBER))
    case.backend.kill(SLOTS[0], "dead already")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert case.listener.received.empty()
