"""Jobs whose files are in a store without local files, which is unreachable at times."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from tests.database import ANNA
from tests.dispatch.harness import Harness, call, done, of, picture, running
from tests.events import output
from tests.services.files import new_file

from safelight.blobs.cache import FileCache
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import STORE_RETRY, StoreUnavailable
from safelight.blobs.stores import BlobStoreConfig
from safelight.core.asset import FileName, Folder
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.engine_kind import OWN
from safelight.core.event import JobRequeued
from safelight.core.ids import JobId
from safelight.core.job import JobState
from safelight.services import asset_access, named_files
from safelight.wire import messages as wire

pytestmark = pytest.mark.anyio

CAT = FileName(Folder.INPUT, "", "cat.png")


class Elsewhere(MemoryBlobStore):
    """Can be made unreachable or slow."""

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


async def own_a_cat(env: Harness) -> None:
    await env.db.write(
        lambda tx: named_files.upload(tx, ANNA, new=new_file(CAT, b"meow"), overwrite=False, now=env.clock.now())
    )


async def test_input_files_exist_before_the_job_is_sent_and_until_its_end(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        order = await env.order("a")
        path = Path(order.files["cat.png"].path)
        assert path.read_bytes() == b"meow"
        await env.submit(ANNA, "b")
        env.say(order, done(order))
        await env.end("a")
        second = await env.order("b")
        assert Path(second.files["cat.png"].path).read_bytes() == b"meow"
        env.say(second, done(second))
        await env.end("b")
        assert not path.exists()  # the cache of this test keeps only pinned files


async def test_a_slot_that_waits_for_files_does_not_delay_others(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store, slots=2) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        await env.until(lambda: store.tries == 1)
        await env.submit(ANNA, "b", prompt={"2": {"class_type": "Save", "inputs": {}}})
        second = await env.order("b")
        env.say(second, done(second))
        assert (await env.end("b")).state is JobState.COMPLETED
        assert [order.job_id for order in env.orders] == ["b"]
        store.may_go_on.set()
        assert list((await env.order("a")).files) == ["cat.png"]


async def test_files_of_the_next_job_are_fetched_while_the_slot_is_busy(tmp_path: Path, store: Elsewhere) -> None:
    cache = FileCache(store, tmp_path / "ahead", max_bytes=10**9)
    async with running(tmp_path, blobs=store, fetch_ahead=cache) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await env.order("a")
        assert store.tries == 0
        waiting = await env.submit(ANNA, "b")
        fetched = tmp_path / "ahead" / hash_bytes(b"meow")
        await env.until(fetched.exists)
        assert [sent.job_id for sent in env.orders] == ["a"], "the next job has not begun"
        assert (await env.job(ANNA, waiting)).summary.attempt == 0
        assert await env.cancel(ANNA, waiting)
        assert (await env.end("b")).state is JobState.CANCELLED
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED
        assert [sent.job_id for sent in env.orders] == ["a"]


async def test_a_store_that_is_away_while_files_are_fetched_ahead_costs_nothing(
    tmp_path: Path, store: Elsewhere
) -> None:
    store.is_away = True
    cache = FileCache(store, tmp_path / "ahead", max_bytes=10**9)
    async with running(tmp_path, blobs=store, fetch_ahead=cache) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await env.order("a")
        await env.submit(ANNA, "b")
        await env.until(lambda: store.tries > 0)
        store.is_away = False
        env.say(order, done(order))
        assert list((await env.order("b")).files) == ["cat.png"]


async def test_missing_input_files_are_left_out(tmp_path: Path, store: Elsewhere) -> None:
    await store.delete(hash_bytes(b"meow"))
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        assert (await env.order("a")).files == {}


async def test_a_job_waits_for_an_unreachable_store(tmp_path: Path, store: Elsewhere) -> None:
    store.is_away = True
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        await env.clock.until_asleep(1)
        store.is_away = False
        env.clock.pass_s(1)
        assert list((await env.order("a")).files) == ["cat.png"]


async def test_a_job_whose_store_stays_unreachable_keeps_its_retry(tmp_path: Path, store: Elsewhere) -> None:
    """However often it is requeued. No slot is shut, because none is at fault."""
    store.is_away = True
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        for tries in range(1, 5):
            await env.clock.until_asleep(1)
            env.clock.pass_s(STORE_RETRY.limit_s)
            await env.until(lambda: env.of_job("a").count("JobRequeued") == tries)  # noqa: B023 - awaited at once
        reasons = [event.reason for event in env.events if isinstance(event, JobRequeued)]
        for words in ("could not fetch the input file cat.png within 300 s", "the object store does not answer"):
            assert words in reasons[0]
        assert env.orders == []
        store.is_away = False
        while not env.orders:
            env.clock.pass_s(STORE_RETRY.limit_s / 10)
            await env.settle()
        order = await env.order("a", attempt=5)
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED


async def test_a_job_is_cancelled_while_its_files_are_fetched(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        await env.until(lambda: store.tries == 1)
        assert await env.cancel(ANNA, JobId("a"))
        assert (await env.end("a")).state is JobState.CANCELLED
        store.may_go_on.set()
        await env.submit(ANNA, "b")
        assert list((await env.order("b")).files) == ["cat.png"]
        assert [order.job_id for order in env.orders] == ["b"]


async def test_an_engine_that_dies_while_files_are_fetched_costs_no_attempt(tmp_path: Path, store: Elsewhere) -> None:
    store.may_go_on.clear()
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        await env.until(lambda: store.tries == 1)
        [slot] = [status.id for status in env.dispatcher.access.slots()]
        env.backend.crash(slot, "died")
        await env.settle()
        store.may_go_on.set()
        assert (await env.order("a")).attempt == 1


async def test_outputs_wait_for_an_unreachable_store(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as env:
        await env.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await env.order("a")
        store.is_away = True
        env.say(order, picture(order, "out_00001_.png"))
        env.say(order, done(order))
        await env.clock.until_asleep(1)
        assert await store.stat(hash_bytes(b"picture")) is None
        store.is_away = False
        env.clock.pass_s(1)
        assert (await env.end("a")).state is JobState.COMPLETED
        assert await store.stat(hash_bytes(b"picture")) == 7
        assert (await env.job(ANNA, JobId("a"))).summary.outputs_count == 1


async def test_a_cancel_does_not_wait_for_outputs_that_cannot_be_stored(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as env:
        await env.submit(ANNA, "a", prompt={"2": {"class_type": "Save", "inputs": {}}})
        order = await env.order("a")
        store.is_away = True
        env.say(order, picture(order, "out_00001_.png"))
        await env.clock.until_asleep(1)
        assert await env.cancel(ANNA, JobId("a"))
        await env.until(lambda: bool(env.sent(wire.CancelJob)))
        env.clock.pass_s(1)
        assert (await env.end("a")).state is JobState.CANCELLED


async def test_validation_does_not_wait_for_a_store_that_is_unreachable(tmp_path: Path, store: Elsewhere) -> None:
    async with running(tmp_path, blobs=store) as env:
        await own_a_cat(env)
        files = {"cat.png": await env.db.read(lambda tx: asset_access.by_file_name(tx, ANNA, file=CAT))}
        store.is_away = True
        words = {"prompt": {}, "targets": [], "files": files}
        assert await env.dispatcher.access.validate_inputs(ANNA.user_id, OWN, **words) == {}
        store.is_away = False
        asking = asyncio.create_task(env.dispatcher.access.validate_inputs(ANNA.user_id, OWN, **words))
        await env.until(lambda: bool(env.sent(wire.ValidateInputs)))
        [asked] = env.sent(wire.ValidateInputs)
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
    """The report of a machine that has stored a file."""
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


async def test_a_worker_machine_gets_file_references_and_stores_its_outputs(
    tmp_path: Path, objects: ObjectBlobStore
) -> None:
    async with running(tmp_path, blobs=objects, engines={"copies_files": True}) as env:
        await own_a_cat(env)
        await env.submit(ANNA, "a")
        order = await env.order("a")
        assert (order.files["cat.png"].digest, order.files["cat.png"].path) == (hash_bytes(b"meow"), "")
        assert order.staging == ""
        await put(objects, b"woof")
        env.say(order, carried(order, b"woof"))
        env.say(order, done(order))
        assert (await env.end("a")).state is JobState.COMPLETED
        dog = FileName(Folder.OUTPUT, "", "dog.png")
        assert (await env.db.read(lambda tx: asset_access.by_file_name(tx, ANNA, file=dog))).digest == hash_bytes(
            b"woof"
        )
        assert not env.staging.exists()


@pytest.mark.parametrize("sha256", ["", "no digest"])
async def test_an_output_that_is_reported_but_not_stored_fails_the_attempt(
    tmp_path: Path, objects: ObjectBlobStore, sha256: str
) -> None:
    async with running(tmp_path, blobs=objects, engines={"copies_files": True}) as env:
        await env.submit(ANNA, "a")
        order = await env.order("a")
        env.say(order, carried(order, b"nowhere"))
        order = await env.order("a", attempt=2)
        await put(objects, b"woof")
        env.say(order, carried(order, b"woof", sha256=sha256))
        ended = await env.end("a")
        assert ended.error is not None
        assert "could not be handled" in ended.error.exception_message
