"""The law of ``BlobStore``, tested on every store."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from tests import seaweedfs

from safelight.blobs.hashing import hash_bytes, hash_file
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import BlobCorrupt, BlobMissing, BlobStore, WrongDigest
from safelight.blobs.stores import BlobStoreConfig
from safelight.core.digest import Digest

pytestmark = pytest.mark.anyio

NOWHERE = Digest("0" * 64)
BIG = bytes(range(256)) * 12_345  # 3 MB, not a multiple of any chunk size


@dataclass(frozen=True)
class Case:
    """A store, and a function that replaces the bytes of a blob without its knowledge."""

    store: BlobStore
    spoil: Callable[[Digest, bytes], Awaitable[None]]


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Case]:
    store = LocalBlobStore(folder / "blobs")

    async def spoil(digest: Digest, data: bytes) -> None:
        path = store.local_path(digest)
        assert path is not None
        path.chmod(0o644)
        path.write_bytes(data)

    yield Case(store, spoil)


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Case]:
    blobs: dict[Digest, bytes] = {}

    async def spoil(digest: Digest, data: bytes) -> None:
        blobs[digest] = data

    yield Case(MemoryBlobStore(blobs), spoil)


@asynccontextmanager
async def objects(config: BlobStoreConfig) -> AsyncIterator[Case]:
    store = ObjectBlobStore(config)

    async def spoil(digest: Digest, data: bytes) -> None:
        key = f"blobs/{digest[:2]}/{digest}"
        await obstore.put_async(store._store, key, data)

    yield Case(store, spoil)


@asynccontextmanager
async def objects_in_memory(folder: Path) -> AsyncIterator[Case]:
    async with objects(BlobStoreConfig(folder=folder, url="memory:///")) as case:
        yield case


@asynccontextmanager
async def objects_in_files(folder: Path) -> AsyncIterator[Case]:
    async with objects(BlobStoreConfig(folder=folder, url=f"file://{folder}/objects")) as case:
        yield case


@asynccontextmanager
async def objects_in_s3(folder: Path) -> AsyncIterator[Case]:
    bucket = f"tests/{uuid.uuid4().hex}/a folder"
    async with objects(seaweedfs.shared_server().store_config(bucket, folder=folder)) as case:
        yield case


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Case]]] = {
    "local": local,
    "memory": memory,
    "objects in memory": objects_in_memory,
    "objects in files": objects_in_files,
    "objects in S3": objects_in_s3,
}


@pytest.fixture(params=list(STORES))
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    if "S3" in request.param:
        request.getfixturevalue("s3")
    async with STORES[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture
def store(case: Case) -> BlobStore:
    return case.store


async def read(store: BlobStore, digest: Digest, **bounds: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest, **bounds)])


async def write(store: BlobStore, *chunks: bytes, folder: Path | None = None) -> Digest:
    writer = store.writer()
    for chunk in chunks:
        await writer.write(chunk)
    digest, size = await writer.finish()
    assert size == writer.size == sum(map(len, chunks))
    return digest


async def adopt(store: BlobStore, data: bytes, *, folder: Path) -> Digest:
    path = folder / "made.bin"
    path.write_bytes(data)
    digest = hash_file(path)
    await store.adopt(path, digest)
    return digest


@pytest.mark.parametrize("data", [b"", b"x", BIG], ids=["nothing", "a byte", "3 MB"])
async def test_bytes_written_are_read_back(store: BlobStore, data: bytes) -> None:
    digest = await write(store, data[:100_001], data[100_001:])
    assert digest == hash_bytes(data)
    assert await store.stat(digest) == len(data)
    assert await read(store, digest) == data


@pytest.mark.parametrize(("start", "end"), [(0, 5), (7, None), (1_500_000, 3_000_000), (10, 10), (10, 5), (0, 10**9)])
async def test_ranges_are_slices(store: BlobStore, start: int, end: int | None) -> None:
    digest = await write(store, BIG)
    bounds = {"start": start} if end is None else {"start": start, "end": end}
    assert await read(store, digest, **bounds) == BIG[start:end]


async def test_the_same_bytes_twice_are_kept_once(store: BlobStore) -> None:
    assert await write(store, b"same") == await write(store, b"sa", b"me")
    await store.delete(hash_bytes(b"same"))
    assert await store.stat(hash_bytes(b"same")) is None


async def test_adopting_a_file_moves_it(store: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        path = tmp_path / "made.bin"
        path.write_bytes(BIG)
        await store.adopt(path, hash_file(path))
        assert not path.exists()
    assert await read(store, hash_bytes(BIG)) == BIG


async def test_a_file_that_does_not_match_its_digest_is_refused(store: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "made.bin"
    path.write_bytes(b"poison")
    with pytest.raises(WrongDigest):
        await store.adopt(path, hash_bytes(b"picture"))
    assert await store.stat(hash_bytes(b"picture")) is None
    assert path.exists()


async def test_an_aborted_write_leaves_nothing(store: BlobStore) -> None:
    writer = store.writer()
    await writer.write(BIG)
    await writer.abort()
    assert await store.stat(hash_bytes(BIG)) is None


async def test_a_missing_blob_is_reported(store: BlobStore) -> None:
    assert await store.stat(NOWHERE) is None
    assert store.local_path(NOWHERE) is None
    await store.delete(NOWHERE)
    with pytest.raises(BlobMissing):
        await read(store, NOWHERE)


@pytest.mark.parametrize("at", [0, len(BIG) // 2, len(BIG) - 1])
async def test_a_flipped_byte_is_never_read_to_the_end(case: Case, at: int) -> None:
    digest = await write(case.store, BIG)
    damaged = bytearray(BIG)
    damaged[at] ^= 1
    await case.spoil(digest, bytes(damaged))
    got = b""
    with pytest.raises(BlobCorrupt):  # noqa: PT012 - what came before is looked at
        async for chunk in case.store.read(digest):
            got += chunk
    assert len(got) < len(BIG)


async def test_a_truncated_blob_is_corrupt(case: Case) -> None:
    digest = await write(case.store, BIG)
    await case.spoil(digest, BIG[:-1])
    with pytest.raises(BlobCorrupt):
        await read(case.store, digest)


async def test_storing_the_right_bytes_again_repairs_a_blob(case: Case, tmp_path: Path) -> None:
    for again in (write, adopt):
        digest = await write(case.store, b"picture")
        await case.spoil(digest, b"Picture")
        await again(case.store, b"picture", folder=tmp_path)
        assert await read(case.store, digest) == b"picture"


async def test_every_blob_is_listed(store: BlobStore) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=2)  # the clocks of stores are coarse
    kept = {await write(store, data): len(data) for data in (b"", b"a", BIG)}
    listed = [blob async for blob in store.scan()]
    assert {blob.digest: blob.size for blob in listed} == kept
    assert len(listed) == 3
    assert all(begun < blob.kept_at < datetime.now(UTC) + timedelta(seconds=2) for blob in listed)


async def test_a_deleted_blob_is_gone(store: BlobStore) -> None:
    digest = await write(store, b"old")
    assert await store.delete(digest)
    assert not await store.delete(digest)
    assert await store.stat(digest) is None
    assert [blob async for blob in store.scan()] == []


async def test_a_deletion_spares_a_blob_that_was_stored_since(store: BlobStore) -> None:
    digest = await write(store, b"again")
    assert not await store.delete(digest, kept_before=datetime.now(UTC) - timedelta(seconds=60))
    assert await read(store, digest) == b"again"
    assert await store.delete(digest, kept_before=datetime.now(UTC) + timedelta(seconds=60))
