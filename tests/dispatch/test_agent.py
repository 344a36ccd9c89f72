"""A slot agent with a real engine and without Ray: its outbox, its messages, its owners, its lease."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from tests.dispatch.engines import SLOT, TIMEOUT_S, deed, engine_config, node
from tests.events import opened

from safelight.core.event import CallsCached, CallStarted
from safelight.dispatch.backends.agent import LEASES_ALONE, OtherProtocol, SlotAgent
from safelight.dispatch.backends.agent_messages import (
    Attached,
    Command,
    Drain,
    EngineLost,
    Entry,
    Envelope,
    Kill,
    Resume,
    Send,
    SlotSpec,
    Token,
)
from safelight.wire.codec import Decoder, encode
from safelight.wire.messages import JobDone, NamesReserved, OutputReady, Pong, Ready, ReserveNames, RunJob, ToServer
from safelight.wire.protocol import PROTOCOL

pytestmark = pytest.mark.anyio

NUMBER = {"1": node("Number", value=7), "2": node("Show", value=["1", 0])}


@dataclass
class Owner:
    """The server's side of an agent. Mutable: the messages received."""

    agent: SlotAgent
    token: Token = (1, 1)
    received: list[Entry] = field(default_factory=list)
    seen: int = 0
    begun: int = 0

    async def attach(self, *, reattach: bool = False, **config: object) -> Attached | None:
        spec = msgspec.msgpack.encode(SlotSpec(config=engine_config(slot=SLOT, **config)))
        answer = await self.agent.attach(self.token, PROTOCOL, spec, reattach=reattach)
        attached = msgspec.msgpack.decode(answer, type=Attached) if answer else None
        self.begun = attached.number if attached else 0
        return attached

    async def poll(self) -> list[Entry] | None:
        after = self.received[-1].number if self.received else self.begun
        answer = await self.agent.poll(self.token, after)
        if answer is None:
            return None
        entries: list[Entry] = list(Decoder[Entry](Entry).feed(answer))
        self.received += entries
        return entries

    async def until(self, kind: type[ToServer] | type[EngineLost]) -> Entry:
        """The next message of that kind that no call has returned yet."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                while self.seen < len(self.received):
                    entry = self.received[self.seen]
                    self.seen += 1
                    if isinstance(entry, kind) or (
                        isinstance(entry, Envelope) and isinstance(opened(entry.message), kind)
                    ):
                        return entry
                await self.poll()

    async def command(self, *commands: Command) -> bool:
        return await self.agent.command(self.token, encode(commands))

    async def hear(self, kind: type[ToServer]) -> ToServer:
        entry = await self.until(kind)
        assert isinstance(entry, Envelope)
        return entry.message


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    ended = asyncio.Event()
    owner = Owner(SlotAgent(os.environ, end=ended.set))
    yield owner
    await owner.agent.shutdown(owner.agent._token)


def job(prompt: dict[str, object], job_id: str = "j", staging: str = "/nowhere") -> RunJob:
    return RunJob(job_id=job_id, attempt=1, owner_id="u", prompt=prompt, targets=[list(prompt)[-1]], staging=staging)


async def test_messages_are_sent_again_until_they_are_acknowledged(owner: Owner) -> None:
    assert await owner.attach()
    ready = await owner.until(Ready)
    assert ready.number == 1
    owner.received.clear()  # the response was lost
    owner.seen = 0
    assert (await owner.until(Ready)).number == 1
    await owner.command(Send(generation=0, message=job(NUMBER)))
    await owner.until(JobDone)
    assert [entry.number for entry in owner.received] == list(range(1, len(owner.received) + 1))


async def test_messages_for_a_dead_engine_reach_no_other_engine(owner: Owner) -> None:
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Kill(generation=0, reason="enough"), Kill(generation=0, reason="enough of enough"))
    lost = await owner.until(EngineLost)
    assert isinstance(lost, EngineLost)
    assert lost.reason == "enough"
    await owner.until(Ready)
    await owner.command(
        Send(generation=0, message=job(NUMBER, "for the dead")),
        Kill(generation=0, reason="late"),
        Send(generation=1, message=job(NUMBER, "for the living")),
    )
    done = await owner.until(JobDone)
    assert isinstance(done, Envelope)
    assert isinstance(done.message, JobDone)
    assert done.message.job_id == "for the living"
    assert len([entry for entry in owner.received if isinstance(entry, EngineLost)]) == 1


async def test_a_drained_slot_has_no_engine_until_it_is_resumed(owner: Owner) -> None:
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Drain(reason="drained"))
    await owner.until(EngineLost)
    count = len(owner.received)
    await owner.command(Resume())
    await owner.until(Ready)
    assert len([entry for entry in owner.received[count:] if not _is(Pong)(entry)]) == 1


async def test_the_later_owner_wins_and_starts_with_a_new_engine(owner: Owner) -> None:
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(deed("hang"))))
    await owner.until(CallStarted)
    waiting = asyncio.create_task(owner.poll())
    later = Owner(owner.agent, (2, 1))
    assert await later.attach()
    while (answer := await waiting) is not None:  # messages that were already sent
        assert not any(isinstance(entry, EngineLost) for entry in answer)
        waiting = asyncio.create_task(owner.poll())
    assert not await owner.command(Send(generation=0, message=job(NUMBER)))
    assert not await owner.attach()
    assert not await owner.agent.shutdown(owner.token)
    owner.token = (1, 2)
    assert not await owner.attach()
    assert (await later.until(Ready)).number == 1
    await later.command(Send(generation=0, message=job(NUMBER)))
    await later.until(JobDone)


async def number(owner: Owner, first: int) -> None:
    """Answer the engine's next request for names."""
    asked = await owner.hear(ReserveNames)
    assert isinstance(asked, ReserveNames)
    await owner.command(Send(generation=0, message=NamesReserved(request_id=asked.request_id, first=first)))


async def test_an_attempt_continues_for_the_next_owner(owner: Owner, tmp_path: Path) -> None:
    """It gets the messages that the owner before had received, receives the rest itself, and then has a new engine."""
    await owner.attach()
    ready = await owner.hear(Ready)
    assert isinstance(ready, Ready)
    prompt = {"1": node("Await", path=str(tmp_path / "go"))}
    await owner.command(Send(generation=0, message=job(prompt, staging=str(tmp_path))))
    await number(owner, 7)

    later = Owner(owner.agent, (2, 1))
    attached = await later.attach(reattach=True, cache_bytes=1)
    assert attached is not None
    assert attached.ready is not None
    assert attached.ready.info.pid == ready.info.pid
    journal = attached.journal
    assert journal is not None
    assert (journal.job_id, journal.attempt, journal.staging, journal.is_over) == ("j", 1, str(tmp_path), False)
    assert [type(opened(message)) for _, message in journal.messages] == [CallsCached, CallStarted, ReserveNames]
    assert journal.numbers == {1: 7}
    assert not await owner.command(Kill(generation=0, reason="by the one before"))

    (tmp_path / "go").touch()
    await number(later, 9)
    output = await later.hear(OutputReady)
    assert isinstance(output, OutputReady)
    assert [file.filename for file in output.files] == ["before_00007_.txt", "after_00009_.txt"]
    await later.until(JobDone)
    lost = await later.until(EngineLost)
    assert isinstance(lost, EngineLost)
    assert lost.number == later.received[later.seen - 2].number + 1  # before the next job could be sent
    second = await later.hear(Ready)
    assert isinstance(second, Ready)
    assert second.info.pid != ready.info.pid
    await later.command(Send(generation=1, message=job(NUMBER, "next")))
    done = await later.hear(JobDone)
    assert isinstance(done, JobDone)
    assert done.job_id == "next"
    assert len([entry for entry in later.received if isinstance(entry, EngineLost)]) == 1


async def test_an_end_that_may_not_have_been_stored_is_reported_to_the_next_owner(owner: Owner) -> None:
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(NUMBER)))
    await owner.until(JobDone)
    await owner.poll()  # acknowledges the end
    later = Owner(owner.agent, (2, 1))
    attached = await later.attach(reattach=True)
    assert attached is not None
    assert attached.journal is not None
    assert attached.journal.is_over
    await later.until(EngineLost)
    await later.until(Ready)
    await later.command(Send(generation=1, message=job(NUMBER, "next")))
    await later.until(JobDone)


async def test_a_lost_engine_is_reported_to_the_next_owner(owner: Owner) -> None:
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(deed("be_killed"))))
    async with asyncio.timeout(TIMEOUT_S):
        while not any(kept.message is None for kept in owner.agent._outbox):
            owner.agent._news.clear()
            await owner.agent._news.wait()
    later = Owner(owner.agent, (2, 1))
    attached = await later.attach(reattach=True)
    assert attached is not None
    assert attached.journal is not None
    lost = await later.until(EngineLost)
    assert isinstance(lost, EngineLost)
    assert "SIGKILL" in lost.reason
    await later.until(Ready)
    await later.command(Send(generation=_losses(later), message=job(NUMBER, "next")))
    done = await later.hear(JobDone)
    assert isinstance(done, JobDone)
    assert done.job_id == "next"


async def test_a_drained_slot_has_an_engine_for_the_next_owner(owner: Owner) -> None:
    """Even if the last owner did not learn of its end."""
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(NUMBER)))
    await owner.until(JobDone)
    await owner.command(Drain(reason="drained"))
    later = Owner(owner.agent, (2, 1))
    attached = await later.attach(reattach=True)
    assert attached is not None
    assert attached.journal is not None
    await later.until(Ready)
    await later.command(Send(generation=_losses(later), message=job(NUMBER, "next")))
    await later.until(JobDone)


async def test_without_an_attempt_the_next_owner_gets_a_new_engine(owner: Owner) -> None:
    """Also after an attempt that was reported as lost."""
    await owner.attach()
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(deed("be_killed"))))
    await owner.until(EngineLost)
    await owner.until(Ready)
    await owner.poll()
    later = Owner(owner.agent, (2, 1))
    assert await later.attach(reattach=True) == Attached()
    assert (await later.until(Ready)).number == 1


async def test_a_detached_attempt_is_kept_for_one_lease(owner: Owner) -> None:
    ended = asyncio.Event()
    owner.agent._end = ended.set
    await owner.attach(lease_s=1.0)
    ready = await owner.hear(Ready)
    assert isinstance(ready, Ready)
    await owner.command(Send(generation=0, message=job(deed("hang"))))
    await owner.until(CallStarted)
    assert not await owner.agent.detach((0, 9))
    assert await owner.agent.detach(owner.token)
    os.kill(ready.info.pid, 0)
    begun = time.monotonic()
    await asyncio.wait_for(ended.wait(), TIMEOUT_S)
    assert time.monotonic() - begun < 1.0 * LEASES_ALONE
    with pytest.raises(ProcessLookupError):
        os.kill(ready.info.pid, 0)


def _losses(owner: Owner) -> int:
    return len([entry for entry in owner.received if isinstance(entry, EngineLost)])


async def test_an_owner_that_stops_polling_loses_the_engine_until_it_polls_again(owner: Owner) -> None:
    await owner.attach(lease_s=1.0)
    await owner.until(Ready)
    await owner.command(Send(generation=0, message=job(deed("hang"))))
    await owner.until(CallStarted)
    await asyncio.wait_for(owner.agent._news.wait(), TIMEOUT_S)  # the agent accepts nothing meanwhile
    while owner.agent._outbox[-1].message is not None:
        owner.agent._news.clear()
        await asyncio.wait_for(owner.agent._news.wait(), TIMEOUT_S)
    lost = await owner.until(EngineLost)
    assert isinstance(lost, EngineLost)
    assert "did not poll" in lost.reason
    await owner.until(Ready)


async def test_an_agent_without_an_owner_exits() -> None:
    ended = asyncio.Event()
    owner = Owner(SlotAgent(os.environ, end=ended.set))
    await owner.attach(lease_s=0.5)
    ready = await owner.until(Ready)
    assert isinstance(ready, Envelope)
    assert isinstance(ready.message, Ready)
    await asyncio.wait_for(ended.wait(), TIMEOUT_S)
    with pytest.raises(ProcessLookupError):
        os.kill(ready.message.info.pid, 0)


async def test_an_agent_reports_another_protocol() -> None:
    agent = SlotAgent(os.environ, end=lambda: None)
    with pytest.raises(OtherProtocol, match=r"the server speaks 1;"):
        await agent.attach((1, 1), 1, b"")


def _is(kind: type[ToServer]) -> Callable[[Entry], bool]:
    return lambda entry: isinstance(entry, Envelope) and isinstance(opened(entry.message), kind)
