"""Attempts that outlive their server: the next one follows them from where that was cut off, or gives them up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN, at
from tests.dispatch.harness import READY, Stage, call, done, of, picture, stage
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
from safelight.services import asset as assets
from safelight.services import attempt as attempts
from safelight.services import job as jobs
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

OUTLIVE_S = 30.0
HEARD_AT_MS = 1_700_000_000_000
S0, S1 = SlotId("s0"), SlotId("s1")


@dataclass
class Past:
    """What an earlier server had running, and what it had heard of it."""

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
) -> AsyncIterator[tuple[Stage, Past]]:
    """Job a of Anna's runs, and its server was killed without a word. The dispatcher is yet to start."""
    engines: dict[str, Any] = {"detached_s": OUTLIVE_S, "late": late}
    async with stage(tmp_path, slots=slots, blobs=blobs, engines=engines) as it:
        await it.submit(ANNA, "a")
        await claim(it, ANNA)
        staging = it.staging / "0123"
        staging.mkdir(parents=True)
        order = wire.RunJob(job_id="a", attempt=1, owner_id="anna", prompt={}, targets=["2"], staging=str(staging))
        yield it, Past(order)
        await it.dispatcher.stop()


async def claim(it: Stage, who: Principal) -> None:
    await it.db.write(lambda tx: attempts.claim_next(tx, keys=[QueueKey(who.user_id)], now=it.clock.now()))


async def begin(it: Stage, past: Past | None, slot: SlotId = S0) -> None:
    """The new server; the slot's engine works on what the old one sent."""
    if past is not None:
        it.backend.journals[slot] = past.work()
    await it.dispatcher.start()
    await it.settle()


async def numbers(it: Stage) -> list[int]:
    return [message.first for message in it.sent(wire.NamesReserved)]


def reserve(order: wire.RunJob, request_id: int, count: int = 1) -> wire.ReserveNames:
    return wire.ReserveNames(
        **of(order), request_id=request_id, folder="output", subfolder="", prefix="cat", count=count
    )


async def names_of(it: Stage) -> list[str]:
    found = await it.db.read(lambda tx: assets.list_files(tx, ANNA, folder=Folder.OUTPUT))
    return sorted(str(asset.file) for asset in found)


async def test_an_attempt_goes_on_and_is_told_of_once(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        past.say(
            report(CallsCached(call_ids=["7"]), **of(past.order)),
            report(CallStarted(call=call("1")), **of(past.order)),
            report(CallFinished(call=call("1")), **of(past.order)),
            output(**of(past.order), call=call("1"), ui={"text": ["early"]}),
            report(CallStarted(call=call("2")), **of(past.order)),
        )
        await begin(it, past)
        await it.submit(ANNA, "b")
        await it.until(lambda: "JobReattached" in it.of_job("a"))
        assert it.of_job("a")[2:] == ["JobReattached"]
        [resumed] = [event for event in it.events if isinstance(event, events.JobReattached)]
        assert (resumed.attempt, resumed.running, resumed.finished) == (1, [call("2")], [call("1")])
        await it.settle()
        assert it.backend.sent == []  # neither again, nor the next beside it
        it.backend.say(S0, picture(past.order, "cat.png"))
        it.backend.say(S0, done(past.order, device_s=3.0))
        assert (await it.end("a")).state is JobState.COMPLETED
        job = await it.job(ANNA, JobId("a"))
        assert job.summary.attempt == 1
        assert set(job.outputs) == {"1", "2"}
        [(_, cached)] = [words for words in job.messages if words[0] == "execution_cached"]
        assert (cached["nodes"], cached["timestamp"]) == (["7"], HEARD_AT_MS)
        order = await it.order("b")  # by the fresh engine
        it.say(order, done(order))
        await it.end("b")


@pytest.mark.parametrize("kind", ["files", "objects"])
async def test_outputs_are_kept_once_wherever_the_server_was_cut_off(tmp_path: Path, kind: str) -> None:
    """The first was kept; the second is in the store, and in no row; of the third was only heard."""
    blobs: BlobStore = MemoryBlobStore() if kind == "objects" else LocalBlobStore(tmp_path / "blobs")
    async with after_a_kill(tmp_path, blobs=blobs) as (it, past):
        pictures = [picture(past.order, f"cat_0000{n}_.png", f"picture {n}".encode()) for n in range(1, 4)]
        past.say(*pictures)
        for message in pictures[:2]:
            await blobs.adopt(Path(message.files[0].path), message.files[0].digest)
        file = FileName(Folder.OUTPUT, "", "cat_00001_.png")
        await it.db.write(
            lambda tx: attempts.record_outputs(
                tx,
                _fence(past),
                outputs=[(pictures[0].made.call, pictures[0].made.output)],
                files=[new_file(file, b"picture 1")],
                now=at(1),
            )
        )
        it.events.clear()
        await begin(it, past)
        it.backend.say(S0, picture(past.order, "cat_00004_.png", b"picture 4"))
        it.backend.say(S0, done(past.order))
        assert (await it.end("a")).state is JobState.COMPLETED
        assert it.of_job("a") == ["OutputMade", "OutputMade", "JobReattached", "OutputMade", "JobEnded"]
        assert await names_of(it) == [f"cat_0000{n}_.png [output]" for n in range(1, 5)]
        for n in range(1, 5):
            data = [chunk async for chunk in blobs.read(hash_bytes(f"picture {n}".encode()))]
            assert b"".join(data) == f"picture {n}".encode()


async def test_what_the_old_server_kept_and_the_new_one_hears_is_not_kept_twice(tmp_path: Path) -> None:
    """The engine's words may have been heard and not acknowledged."""
    async with after_a_kill(tmp_path) as (it, past):
        message = picture(past.order, "cat.png")
        new = new_file(FileName(Folder.OUTPUT, "", "cat.png"), b"picture")
        await it.db.write(
            lambda tx: attempts.record_outputs(
                tx, _fence(past), outputs=[(message.made.call, message.made.output)], files=[new], now=at(1)
            )
        )
        it.events.clear()
        await begin(it, past)
        it.backend.say(S0, message)
        it.backend.say(S0, done(past.order))
        await it.end("a")
        assert it.of_job("a") == ["JobReattached", "JobEnded"]
        assert (await it.job(ANNA, JobId("a"))).summary.outputs_count == 1


async def test_a_file_that_is_nowhere_ends_the_attempt(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        message = picture(past.order, "cat.png")
        Path(message.files[0].path).unlink()
        past.say(message)
        await begin(it, past)
        assert (await it.order("a", attempt=2)).attempt == 2


async def test_numbers_that_were_given_are_not_given_again(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        past.say(reserve(past.order, 1, count=4), reserve(past.order, 2))
        past.numbers[1] = 1
        await begin(it, past)
        await it.until(lambda: bool(it.sent(wire.NamesReserved)))
        assert it.sent(wire.NamesReserved) == [wire.NamesReserved(request_id=2, first=5)]
        it.backend.say(S0, reserve(past.order, 3))
        await it.until(lambda: len(it.sent(wire.NamesReserved)) == 2)
        assert await numbers(it) == [5, 6]


async def test_an_owner_gets_no_numbers_before_their_journals_are_read(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=3, late=(S1,)) as (it, past):
        past.say(reserve(past.order, 1, count=2))
        past.numbers[1] = 1
        await begin(it, past, S1)
        await it.submit(ANNA, "b")
        await it.submit(BEN, "c")
        of_anna, of_ben = await it.order("b"), await it.order("c")
        it.say(of_anna, reserve(of_anna, 1))
        it.say(of_ben, reserve(of_ben, 1))
        await it.until(lambda: bool(it.sent(wire.NamesReserved)))
        await it.settle()
        assert await numbers(it) == [1]  # Ben's
        it.backend.begin(S1)
        await it.until(lambda: len(it.sent(wire.NamesReserved)) == 2)
        assert await numbers(it) == [1, 3]


async def test_what_no_slot_has_runs_again_when_all_have_spoken(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (it, past):
        await begin(it, None)
        await it.submit(ANNA, "b")
        await it.order("b")
        assert not [order for order in it.orders if order.job_id == "a"]
        it.backend.begin(S1)
        order = await it.order("a", attempt=2)
        await it.until(lambda: not Path(past.order.staging).exists())
        assert Path(order.staging).exists()


async def test_what_is_not_found_in_time_runs_again_and_a_late_engine_has_no_say(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (it, past):
        await begin(it, past, S1)
        await it.clock.until_asleep(1)
        it.clock.pass_s(OUTLIVE_S)
        order = await it.order("a", attempt=2)
        it.backend.begin(S1)
        it.backend.say(S1, done(past.order, JobState.FAILED))
        await it.until(lambda: it.backend.engines[S1] == 2)  # the first was ended
        it.say(order, done(order))
        assert (await it.end("a")).state is JobState.COMPLETED


async def test_an_end_that_was_heard_and_not_written_is_written(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        past.say(
            report(CallStarted(call=call("2")), **of(past.order)), picture(past.order, "cat.png"), done(past.order)
        )
        await begin(it, past)
        assert (await it.end("a")).state is JobState.COMPLETED
        assert it.of_job("a")[2:] == ["OutputMade", "JobEnded"]
        await it.submit(ANNA, "b")
        await it.order("b")


async def test_a_journal_of_a_job_that_has_ended_changes_nothing(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        past.say(done(past.order))
        await it.db.write(lambda tx: attempts.finish(tx, _fence(past), outcome=JobState.COMPLETED, now=at(1)))
        it.events.clear()
        await begin(it, past)
        await it.submit(ANNA, "b")
        await it.order("b")
        assert it.of_job("a") == []


async def test_a_cancel_meanwhile_reaches_the_engine(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, late=(S0,)) as (it, past):
        await begin(it, past)
        await it.cancel(ANNA, JobId("a"))
        it.backend.begin(S0)
        await it.until(lambda: bool(it.sent(wire.CancelJob)))
        it.backend.say(S0, done(past.order, JobState.CANCELLED))
        assert (await it.end("a")).state is JobState.CANCELLED


async def test_an_engine_that_is_lost_after_all_loses_its_attempt(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        await begin(it, past)
        it.backend.crash(S0, "the lease was over")
        order = await it.order("a", attempt=2)
        await it.until(lambda: not Path(past.order.staging).exists())
        it.say(order, done(order))
        await it.end("a")


@pytest.mark.parametrize("staging", ["/", "..", "nowhere"])
async def test_a_journal_that_cannot_be_true_ends_the_attempt(tmp_path: Path, staging: str) -> None:
    async with after_a_kill(tmp_path) as (it, past):
        past.order = wire.RunJob(
            job_id="a", attempt=1, owner_id="anna", prompt={}, targets=[], staging=str(it.staging / staging)
        )
        await begin(it, past)
        await it.order("a", attempt=2)


async def test_input_files_stay_for_the_attempt(tmp_path: Path) -> None:
    store = MemoryBlobStore()
    store.keep(hash_bytes(b"meow"), b"meow")
    engines = {"detached_s": OUTLIVE_S}
    async with stage(tmp_path, blobs=store, engines=engines) as it:
        cat = new_file(FileName(Folder.INPUT, "", "cat.png"), b"meow")
        await it.db.write(lambda tx: assets.upload(tx, ANNA, new=cat, overwrite=False, now=at(0)))
        await it.submit(ANNA, "a")
        await claim(it, ANNA)
        (it.staging / "0123").mkdir(parents=True)
        order = wire.RunJob(
            job_id="a", attempt=1, owner_id="anna", prompt={}, targets=[], staging=str(it.staging / "0123")
        )
        await begin(it, Past(order))
        file = tmp_path / "cache" / hash_bytes(b"meow")
        await it.until(file.exists)
        it.backend.say(S0, done(order))
        await it.end("a")
        await it.until(lambda: not file.exists())  # this cache keeps nothing that nobody holds
        await it.dispatcher.stop()


async def test_a_stop_leaves_what_is_at_work_to_the_next_server(tmp_path: Path) -> None:
    async with stage(tmp_path, slots=2, engines={"detached_s": OUTLIVE_S}) as it:
        await it.dispatcher.start()
        await it.submit(ANNA, "a")
        order = await it.order("a")
        await it.dispatcher.stop()
        assert it.backend.detached == [it.slot_of(order)]
        assert Path(order.staging).exists()
        job = await it.job(ANNA, JobId("a"))
        assert (job.summary.state, job.summary.attempt) == (JobState.RUNNING, 1)


async def test_a_stop_before_all_slots_have_spoken_leaves_the_rest(tmp_path: Path) -> None:
    async with after_a_kill(tmp_path, slots=2, late=(S1,)) as (it, _past):
        await begin(it, None)
        await it.until(lambda: bool(it.ready))
        await it.dispatcher.stop()
        assert it.backend.detached == [S1]
        assert (await it.job(ANNA, JobId("a"))).summary.state is JobState.RUNNING


async def test_a_user_with_one_slot_still_has_it(tmp_path: Path) -> None:
    """What was resumed counts, and its end lets the next begin."""
    async with after_a_kill(tmp_path, slots=2) as (it, past):
        await begin(it, past)
        await it.until(lambda: "JobReattached" in it.of_job("a"))
        running = [status for status in it.dispatcher.slots() if status.owner_id == ANNA.user_id]
        assert [status.id for status in running] == [S0]
        assert (await it.db.read(lambda tx: jobs.queue(tx, ANNA)))[0][0].id == "a"


def _fence(past: Past) -> Fence:
    return Fence(JobId(past.order.job_id), past.order.attempt)
