"""The law of ``BlobStore``, over every store that there is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from safelight.blobs.hashing import hash_bytes, hash_file
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.store import BlobMissing, BlobStore, WrongDigest
from safelight.core.digest import Digest

pytestmark = pytest.mark.anyio

STORES: dict[str, Callable[[Path], BlobStore]] = {
    "local": lambda folder: LocalBlobStore(folder / "blobs"),
    "memory": lambda folder: MemoryBlobStore(),
}
NOWHERE = Digest("0" * 64)
BIG = bytes(range(256)) * 12_345  # 3 MB, no multiple of any chunk


@pytest.fixture(params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return STORES[request.param](tmp_path)


async def read(store: BlobStore, digest: Digest, **bounds: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest, **bounds)])


async def write(store: BlobStore, *chunks: bytes) -> Digest:
    writer = store.writer()
    for chunk in chunks:
        await writer.write(chunk)
    digest, size = await writer.finish()
    assert size == writer.size == sum(map(len, chunks))
    return digest


@pytest.mark.parametrize("data", [b"", b"x", BIG], ids=["nothing", "a byte", "3 MB"])
async def test_what_was_written_is_read_back(store: BlobStore, data: bytes) -> None:
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


async def test_a_file_is_adopted_and_gone_from_where_it_was(store: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        path = tmp_path / "made.bin"
        path.write_bytes(BIG)
        await store.adopt(path, hash_file(path))
        assert not path.exists()
    assert await read(store, hash_bytes(BIG)) == BIG


async def test_a_file_that_is_not_what_it_says_is_refused(store: BlobStore, tmp_path: Path) -> None:
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


async def test_what_is_missing_is_said(store: BlobStore) -> None:
    assert await store.stat(NOWHERE) is None
    assert store.local_path(NOWHERE) is None
    await store.delete(NOWHERE)
    with pytest.raises(BlobMissing):
        await read(store, NOWHERE)
