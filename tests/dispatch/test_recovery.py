"""Attempts that outlive their server: the next server follows them from where it stopped, or fails them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN, at
from tests.dispatch.harness import READY, Harness, call, done, make_harness, of, picture
from tests.events import output, report
from tests.services.files import new_file

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.store import BlobStore
from safelight.core import event as events
from safelight.core.asset import FileName, Folder
from safelight.core.event import CallFinished, CallsCached, CallStarted
from safelight.core.ids import JobId
from safelight.core.job import Fence, JobState
from safelight.core.pool import QueueKey
from safelight.core.user import Principal
from safelight.core.worker import SlotId
from safelight.dispatch.journal import JournalWriter
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.services import named_files
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

OUTLIVE_S = 30.0
HEARD_AT_MS = 1_700_000_000_000
S0, S1 = SlotId("s0"), SlotId("s1")


@dataclass
class Past:
    """An attempt of an earlier server, and the messages that this server had received."""

    order: wire.RunJob
    said: list[wire.ToServer] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)

    def work(self) -> JournalWriter:
        work = JournalWriter(self.order, ready=READY, generation=0)
        for n, message in enumerate(self.said):
            work.record(message, at_ms=HEARD_AT_MS + n)
        for request_id, first in self.numbers.items():
            work.record_numbers(request_id, first)
        return work

    def say(self, *messages: wire.ToServer) -> None:
        self.said += messages


@asynccontextmanager
async def after_a_kill(
    tmp_path: Path, *, slots: int = 1, blobs: BlobStore | None = None, late: tuple[SlotId, ...] = ()
) -> AsyncIterator[tuple[Harness, Past]]:
    """Anna's job "a" was running when its server was killed. The new dispatcher is not started yet."""
    engines: dict[str, Any] = {"detached_s": OUTLIVE_S, "late": late}
    async with make_harness(tmp_path, slots=slots, blobs=blobs, engines=engines) as env:
        await env.submit(ANNA, "a")
        await claim(env, ANNA)
        staging = env.staging / "0123"
        staging.mkdir(parents=True)
        order = wire.RunJob(job_id="a", attempt=1, owner_id="anna", prompt={}, targets=["2"], staging=str(staging))
        yield env, Past(order)
        await env.dispatcher.stop()


async def claim(env: Harness, who: Principal) -> None:
    await env.db.write(lambda tx: attempts.claim_next(tx, keys=[QueueKey(who.user_id)], now=env.clock.now()))


async def begin(env: Harness, past: Past | None, slot: SlotId = S0) -> None:
    """Start the new server; the slot's engine works on what the old one sent."""
    if past is not None:
        env.backend.journals[slot] = past.work()
    await env.dispatcher.start()
    await env.settle()


async def numbers(env: Harness) -> list[int]:
    return [message.first for message in env.sent(wire.NamesReserved)]


def reserve(order: wire.RunJob, request_id: int, count: int = 1) -> wire.ReserveNames:
    return wire.ReserveNames(
        **of(order), request_id=request_id, folder="output", subfolder="", prefix="cat", count=count
    )


async def names_of(env: Harness) -> list[str]:
    found = await env.db.read(lambda tx: named_files.list_files(tx, ANNA, folder=Folder.OUTPUT))
    return sorted(str(asset.file) for asset in found)


async def test_an_attempt_continues_and_its_events_are_published_once(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        past.say(
            report(CallsCached(call_ids=["7"]), **of(past.order)),
            report(CallStarted(call=call("1")), **of(past.order)),
            report(CallFinished(call=call("1")), **of(past.order)),
            output(**of(past.order), call=call("1"), ui={"text": ["early"]}),
            report(CallStarted(call=call("2")), **of(past.order)),
        )
        await begin(env, past)
        await env.submit(ANNA, "b")
        await env.until(lambda: "JobReattached" in env.of_job("a"))
        assert env.of_job("a")[2:] == ["JobReattached"]
        [resumed] = [event for event in env.events if isinstance(event, events.JobReattached)]
        assert (resumed.attempt, resumed.running, resumed.finished) == (1, [call("2")], [call("1")])
        await env.settle()
        assert env.backend.sent == []  # neither the job again, nor the next one beside it
        env.backend.say(S0, picture(past.order, "cat.png"))
        env.backend.say(S0, done(past.order, device_s=3.0))
        assert (await env.end("a")).state is JobState.COMPLETED
        job = await env.job(ANNA, JobId("a"))
        assert job.summary.attempt == 1
        assert set(job.outputs) == {"1", "2"}
        [(_, cached)] = [words for words in job.messages if words[0] == "execution_cached"]
        assert (cached["nodes"], cached["timestamp"]) == (["7"], HEARD_AT_MS)
        order = await env.order("b")  # on the new engine
        env.say(order, done(order))
        await env.end("b")


@pytest.mark.parametrize("kind", ["files", "objects"])
async def test_outputs_are_stored_once_wherever_the_server_was_interrupted(tmp_path: Path, kind: str) -> None:
    """The first has a row; the second is only in the store; the third was only reported."""
    blobs: BlobStore = MemoryBlobStore() if kind == "objects" else LocalBlobStore(tmp_path / "blobs")
    async with after_a_kill(tmp_path, blobs=blobs) as (env, past):
        pictures = [picture(past.order, f"cat_0000{n}_.png", f"picture {n}".encode()) for n in range(1, 4)]
        past.say(*pictures)
        for message in pictures[:2]:
            await blobs.adopt(Path(message.files[0].path), message.files[0].digest)
        file = FileName(Folder.OUTPUT, "", "cat_00001_.png")
        await env.db.write(
            lambda tx: attempts.record_outputs(
                tx,
                _fence(past),
                outputs=[(pictures[0].made.call, pictures[0].made.output)],
                files=[new_file(file, b"picture 1")],
                now=at(1),
            )
        )
        env.events.clear()
        await begin(env, past)
        env.backend.say(S0, picture(past.order, "cat_00004_.png", b"picture 4"))
        env.backend.say(S0, done(past.order))
        assert (await env.end("a")).state is JobState.COMPLETED
        assert env.of_job("a") == ["OutputMade", "OutputMade", "JobReattached", "OutputMade", "JobEnded"]
        assert await names_of(env) == [f"cat_0000{n}_.png [output]" for n in range(1, 5)]
        for n in range(1, 5):
            data = [chunk async for chunk in blobs.read(hash_bytes(f"picture {n}".encode()))]
            assert b"".join(data) == f"picture {n}".encode()


async def test_an_output_that_both_servers_receive_is_stored_once(tmp_path: Path) -> None:
    """A message may have been received but not acknowledged."""
    async with after_a_kill(tmp_path) as (env, past):
        message = picture(past.order, "cat.png")
        new = new_file(FileName(Folder.OUTPUT, "", "cat.png"), b"picture")
        await env.db.write(
            lambda tx: attempts.record_outputs(
                tx, _fence(past), outputs=[(message.made.call, message.made.output)], files=[new], now=at(1)
            )
        )
        env.events.clear()
        await begin(env, past)
        env.backend.say(S0, message)
        env.backend.say(S0, done(past.order))
        await env.end("a")
        assert env.of_job("a") == ["JobReattached", "JobEnded"]
        assert (await env.job(ANNA, JobId("a"))).summary.outputs_count == 1


async def test_a_missing_file_fails_the_attempt(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        message = picture(past.order, "cat.png")
        Path(message.files[0].path).unlink()
        past.say(message)
        await begin(env, past)
        assert (await env.order("a", attempt=2)).attempt == 2


async def test_numbers_that_were_given_are_not_given_again(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        past.say(reserve(past.order, 1, count=4), reserve(past.order, 2))
        past.numbers[1] = 1
        await begin(env, past)
        await env.until(lambda: bool(env.sent(wire.NamesReserved)))
        assert env.sent(wire.NamesReserved) == [wire.NamesReserved(request_id=2, first=5)]
        env.backend.say(S0, reserve(past.order, 3))
        await env.until(lambda: len(env.sent(wire.NamesReserved)) == 2)
        assert await numbers(env) == [5, 6]


async def test_an_owner_gets_no_numbers_before_their_journals_are_read(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=3, late=(S1,)) as (env, past):
        past.say(reserve(past.order, 1, count=2))
        past.numbers[1] = 1
        await begin(env, past, S1)
        await env.submit(ANNA, "b")
        await env.submit(BEN, "c")
        of_anna, of_ben = await env.order("b"), await env.order("c")
        env.say(of_anna, reserve(of_anna, 1))
        env.say(of_ben, reserve(of_ben, 1))
        await env.until(lambda: bool(env.sent(wire.NamesReserved)))
        await env.settle()
        assert await numbers(env) == [1]  # Ben's
        env.backend.begin(S1)
        await env.until(lambda: len(env.sent(wire.NamesReserved)) == 2)
        assert await numbers(env) == [1, 3]


async def test_an_attempt_that_no_slot_reports_runs_again(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (env, past):
        await begin(env, None)
        await env.submit(ANNA, "b")
        await env.order("b")
        assert not [order for order in env.orders if order.job_id == "a"]
        env.backend.begin(S1)
        order = await env.order("a", attempt=2)
        await env.until(lambda: not Path(past.order.staging).exists())
        assert Path(order.staging).exists()


async def test_an_attempt_not_found_in_time_runs_again_and_a_late_engine_is_ignored(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (env, past):
        await begin(env, past, S1)
        await env.clock.until_asleep(1)
        env.clock.pass_s(OUTLIVE_S)
        order = await env.order("a", attempt=2)
        env.backend.begin(S1)
        env.backend.say(S1, done(past.order, JobState.FAILED))
        await env.until(lambda: env.backend.engines[S1] == 2)  # the first engine was killed
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED


async def test_an_end_that_was_received_and_not_stored_is_stored(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        past.say(
            report(CallStarted(call=call("2")), **of(past.order)), picture(past.order, "cat.png"), done(past.order)
        )
        await begin(env, past)
        assert (await env.end("a")).state is JobState.COMPLETED
        assert env.of_job("a")[2:] == ["OutputMade", "JobEnded"]
        await env.submit(ANNA, "b")
        await env.order("b")


async def test_a_journal_of_a_job_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        past.say(done(past.order))
        await env.db.write(lambda tx: attempts.finish(tx, _fence(past), outcome=JobState.COMPLETED, now=at(1)))
        env.events.clear()
        await begin(env, past)
        await env.submit(ANNA, "b")
        await env.order("b")
        assert env.of_job("a") == []


async def test_a_cancel_during_recovery_reaches_the_engine(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, late=(S0,)) as (env, past):
        await begin(env, past)
        await env.cancel(ANNA, JobId("a"))
        env.backend.begin(S0)
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        env.backend.say(S0, done(past.order, JobState.CANCELLED))
        assert (await env.end("a")).state is JobState.CANCELLED


async def test_an_engine_lost_during_recovery_loses_its_attempt(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        await begin(env, past)
        env.backend.crash(S0, "the lease was over")
        order = await env.order("a", attempt=2)
        await env.until(lambda: not Path(past.order.staging).exists())
        env.say(order, done(order))
        await env.end("a")


@pytest.mark.parametrize("staging", ["/", "..", "nowhere"])
async def test_an_impossible_journal_fails_the_attempt(tmp_path: Path, staging: str) -> None:
    async with after_a_kill(tmp_path) as (env, past):
        past.order = wire.RunJob(
            job_id="a", attempt=1, owner_id="anna", prompt={}, targets=[], staging=str(env.staging / staging)
        )
        await begin(env, past)
        await env.order("a", attempt=2)


async def test_input_files_stay_for_the_attempt(tmp_path: Path) -> None:
    store = MemoryBlobStore()
    store.keep(hash_bytes(b"meow"), b"meow")
    engines = {"detached_s": OUTLIVE_S}
    async with make_harness(tmp_path, blobs=store, engines=engines) as env:
        cat = new_file(FileName(Folder.INPUT, "", "cat.png"), b"meow")
        await env.db.write(lambda tx: named_files.upload(tx, ANNA, new=cat, overwrite=False, now=at(0)))
        await env.submit(ANNA, "a")
        await claim(env, ANNA)
        (env.staging / "0123").mkdir(parents=True)
        order = wire.RunJob(
            job_id="a", attempt=1, owner_id="anna", prompt={}, targets=[], staging=str(env.staging / "0123")
        )
        await begin(env, Past(order))
        file = tmp_path / "cache" / hash_bytes(b"meow")
        await env.until(file.exists)
        env.backend.say(S0, done(order))
        await env.end("a")
        await env.until(lambda: not file.exists())  # this cache keeps only pinned files
        await env.dispatcher.stop()


async def test_a_stop_leaves_running_attempts_to_the_next_server(tmp_path: Path) -> None:
    async with make_harness(tmp_path, slots=2, engines={"detached_s": OUTLIVE_S}) as env:
        await env.dispatcher.start()
        await env.submit(ANNA, "a")
        order = await env.order("a")
        await env.dispatcher.stop()
        assert env.backend.detached == [env.slot_of(order)]
        assert Path(order.staging).exists()
        job = await env.job(ANNA, JobId("a"))
        assert (job.summary.state, job.summary.attempt) == (JobState.RUNNING, 1)


async def test_a_stop_before_all_slots_have_reported_leaves_the_rest(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (env, _past):
        await begin(env, None)
        await env.until(lambda: bool(env.ready))
        await env.dispatcher.stop()
        assert env.backend.detached == [S1]
        assert (await env.job(ANNA, JobId("a"))).summary.state is JobState.RUNNING


async def test_a_user_limited_to_one_slot_keeps_to_it(tmp_path: Path) -> None:
    """The reattached attempt counts, and its end lets the next job start."""
    async with after_a_kill(tmp_path, slots=2) as (env, past):
        await begin(env, past)
        await env.until(lambda: "JobReattached" in env.of_job("a"))
        running = [status for status in env.dispatcher.access.slots() if status.owner_id == ANNA.user_id]
        assert [status.id for status in running] == [S0]
        assert (await env.db.read(lambda tx: jobs.queue(tx, ANNA)))[0][0].id == "a"


def _fence(past: Past) -> Fence:
    return Fence(JobId(past.order.job_id), past.order.attempt)
