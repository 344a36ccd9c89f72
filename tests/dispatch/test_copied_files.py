"""Jobs whose files are in a store that shows no files, and that is away at times."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.database import ANNA
from tests.dispatch.harness import Stage, call, done, of, picture, running
from tests.events import output
from tests.services.files import new_file

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import STORE_RETRY, StoreUnavailable
from safelight.blobs.stores import BlobStoreConfig
from safelight.core.asset import FileName, Folder
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.event import JobRequeued
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.services import asset as assets
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

CAT = FileName(Folder.INPUT, "", "cat.png")


class Elsewhere(MemoryBlobStore):
    """May be away, and may take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.tries = 0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        await self._answer()
        async for chunk in super().read(digest, start=start, end=end):
            yield chunk

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        await self._answer()
        return await super().adopt(path, digest)

    async def _answer(self) -> None:
        self.tries += 1
        await self.may_go_on.wait()
        if self.is_away:
            raise StoreUnavailable("the object store does not answer")


@pytest.fixture
def store() -> Elsewhere:
    store = Elsewhere()
    store.keep(hash_bytes(b"meow"), b"meow")
    return store


async def own_a_cat(it: Stage) -> None:
    await it.db.write(
        lambda tx: assets.upload(tx, ANNA, new=new_file(CAT, b"meow"), overwrite=False, now=it.clock.now())
    )


async def test_files_are_here_before_the_order_and_until_the_end(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        order = await it.order("a")
        path = Path(order.files["cat.png"].path)
        assert path.read_bytes() == b"meow"
        await it.submit(ANNA, "b")
        it.say(order, done(order))
        await it.end("a")
        second = await it.order("b")
        assert Path(second.files["cat.png"].path).read_bytes() == b"meow"
        it.say(second, done(second))
        await it.end("b")
        assert not path.exists()  # the cache of this test keeps nothing that is not in use


async def test_a_slot_that_waits_for_files_does_not_hold_the_others_up(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store, slots=2) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        await it.until(lambda: store.tries == 1)
        await it.submit(ANNA, "b", prompt={"2": {"class_type": "Save", "inputs": {}}})
        second = await it.order("b")
        it.say(second, done(second))
        assert (await it.end("b")).state is JobState.COMPLETED
        assert [order.job_id for order in it.orders] == ["b"]
        store.may_go_on.set()
        assert list((await it.order("a")).files) == ["cat.png"]


async def test_bytes_that_are_gone_are_left_out(tmp_path: Path, store: Elsewhere) -> None:
    await store.delete(hash_bytes(b"meow"))
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        assert (await it.order("a")).files == {}


async def test_a_job_waits_for_a_store_that_is_away(tmp_path: Path, store: Elsewhere) -> None:
    store.is_away = True
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        await it.clock.until_asleep(1)
        store.is_away = False
        it.clock.pass_s(1)
        assert list((await it.order("a")).files) == ["cat.png"]


async def test_a_job_whose_store_stays_away_waits_and_loses_no_retry(tmp_path: Path, store: Elsewhere) -> None:
    """However often; and no slot is shut for it, since none is to blame."""
    store.is_away = True
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        for tries in range(1, 5):
            await it.clock.until_asleep(1)
            it.clock.pass_s(STORE_RETRY.limit_s)
            await it.until(lambda: it.of_job("a").count("JobRequeued") == tries)  # noqa: B023 - awaited at once
        reasons = [event.reason for event in it.events if isinstance(event, JobRequeued)]
        for words in ("could not fetch the input file cat.png within 300 s", "the object store does not answer"):
            assert words in reasons[0]
        assert it.orders == []
        store.is_away = False
        while not it.orders:
            it.clock.pass_s(STORE_RETRY.limit_s / 10)
            await it.settle()
        order = await it.order("a", attempt=5)
        it.say(order, done(order))
        assert (await it.end("a")).state is JobState.COMPLETED


async def test_a_job_is_cancelled_while_its_files_come(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        await it.until(lambda: store.tries == 1)
        assert await it.cancel(ANNA, JobId("a"))
        assert (await it.end("a")).state is JobState.CANCELLED
        store.may_go_on.set()
        await it.submit(ANNA, "b")
        assert list((await it.order("b")).files) == ["cat.png"]
        assert [order.job_id for order in it.orders] == ["b"]


async def test_an_engine_that_dies_while_files_come_costs_no_attempt(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        await it.until(lambda: store.tries == 1)
        [slot] = [status.id for status in it.dispatcher.slots()]
        it.backend.crash(slot, "died")
        await it.settle()
        store.may_go_on.set()
        assert (await it.order("a")).attempt == 1


async def test_outputs_wait_for_a_store_that_is_away(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as it:
        await it.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await it.order("a")
        store.is_away = True
        it.say(order, picture(order, "out_00001_.png"))
        it.say(order, done(order))
        await it.clock.until_asleep(1)
        assert await store.stat(hash_bytes(b"picture")) is None
        store.is_away = False
        it.clock.pass_s(1)
        assert (await it.end("a")).state is JobState.COMPLETED
        assert await store.stat(hash_bytes(b"picture")) == 7
        assert (await it.job(ANNA, JobId("a"))).summary.outputs_count == 1


async def test_a_cancel_does_not_wait_for_outputs_that_cannot_be_stored(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as it:
        await it.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await it.order("a")
        store.is_away = True
        it.say(order, picture(order, "out_00001_.png"))
        await it.clock.until_asleep(1)
        assert await it.cancel(ANNA, JobId("a"))
        await it.until(lambda: bool(it.sent(wire.CancelJob)))
        it.clock.pass_s(1)
        assert (await it.end("a")).state is JobState.CANCELLED


async def test_judging_does_not_wait_for_a_store_that_is_away(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as it:
        await own_a_cat(it)
        files = {"cat.png": await it.db.read(lambda tx: assets.find_file(tx, ANNA, file=CAT))}
        store.is_away = True
        words = {"prompt": {}, "targets": [], "files": files}
        assert await it.dispatcher.validate_inputs(ANNA.user_id, **words) == {}
        store.is_away = False
        asking = asyncio.create_task(it.dispatcher.validate_inputs(ANNA.user_id, **words))
        await it.until(lambda: bool(it.sent(wire.ValidateInputs)))
        [asked] = it.sent(wire.ValidateInputs)
        assert Path(asked.files["cat.png"].path).read_bytes() == b"meow"
        asking.cancel()


@pytest.fixture
def objects(tmp_path: Path) -> ObjectBlobStore:
    return ObjectBlobStore(BlobStoreConfig(folder=tmp_path, url="memory:///"))


async def put(store: ObjectBlobStore, data: bytes) -> None:
    writer = store.writer()
    await writer.write(data)
    await writer.finish()


def carried(order: wire.RunJob, data: bytes, **words: str) -> wire.OutputReady:
    """What a machine tells of that has stored it."""
    words = {"sha256": sha256(data).hexdigest(), **words}
    file = wire.SavedFile(
        folder="output",
        subfolder="",
        filename="dog.png",
        path="/there/1.png",
        size=len(data),
        digest=hash_bytes(data),
        mime_type="image/png",
        **words,
    )
    return output(**of(order), call=call("2"), ui={"images": [{"filename": "dog.png"}]}, files=[file])


async def test_a_machine_that_carries_files_is_told_which_and_has_stored_what_it_tells_of(
    tmp_path: Path, objects: ObjectBlobStore
) -> None:
    async with running(tmp_path, blobs=objects, engines={"copies_files": True}) as it:
        await own_a_cat(it)
        await it.submit(ANNA, "a")
        order = await it.order("a")
        assert (order.files["cat.png"].digest, order.files["cat.png"].path) == (hash_bytes(b"meow"), "")
        assert order.staging == ""
        await put(objects, b"woof")
        it.say(order, carried(order, b"woof"))
        it.say(order, done(order))
        assert (await it.end("a")).state is JobState.COMPLETED
        dog = FileName(Folder.OUTPUT, "", "dog.png")
        assert (await it.db.read(lambda tx: assets.find_file(tx, ANNA, file=dog))).digest == hash_bytes(b"woof")
        assert not it.staging.exists()


@pytest.mark.parametrize("sha256", ["", "no digest"])
async def test_what_is_told_and_not_stored_ends_the_attempt(
    tmp_path: Path, objects: ObjectBlobStore, sha256: str
) -> None:
    async with running(tmp_path, blobs=objects, engines={"copies_files": True}) as it:
        await it.submit(ANNA, "a")
        order = await it.order("a")
        it.say(order, carried(order, b"nowhere"))
        order = await it.order("a", attempt=2)
        await put(objects, b"woof")
        it.say(order, carried(order, b"woof", sha256=sha256))
        ended = await it.end("a")
        assert ended.error is not None
        assert "could not be handled" in ended.error.exception_message
