"""Cached files: fetched once, verified, kept while they are pinned, and evicted above a limit."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from safelight.blobs.cache import FileCache
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.store import BlobCorrupt, BlobMissing, StoreUnavailable
from safelight.core.digest import Digest

pytestmark = pytest.mark.anyio

A, B, C = (letter * 1000 for letter in (b"a", b"b", b"c"))


class Counted(MemoryBlobStore):
    """Counts reads, and can be made unreachable."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Digest] = []
        self.is_away = False
        self.has_begun = asyncio.Event()

    async def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        self.reads.append(digest)
        self.has_begun.set()
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        async for chunk in super().read(digest, start=start, end=end):
            yield chunk


@pytest.fixture
def store() -> Counted:
    store = Counted()
    for data in (A, B, C):
        store.keep(hash_bytes(data), data)
    return store


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def content(cache: FileCache, data: bytes) -> bytes:
    async with cache.pinned(hash_bytes(data)) as path:
        return path.read_bytes()


async def test_a_store_of_files_serves_its_own_files(tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path / "blobs")
    writer = blobs.writer()
    await writer.write(A)
    digest, _ = await writer.finish()
    cache = FileCache(blobs, tmp_path / "cache", max_bytes=10)
    async with cache.pinned(digest) as path:
        assert path == blobs.local_path(digest)
    assert not (tmp_path / "cache").exists()


async def test_concurrent_callers_share_one_fetch(store: Counted, tmp_path: Path) -> None:
    cache = FileCache(store, tmp_path, max_bytes=10_000)
    assert await asyncio.gather(*(content(cache, A) for _ in range(20))) == [A] * 20
    assert await content(cache, A) == A
    assert store.reads == [hash_bytes(A)]
    assert stat.S_IMODE(os.stat(tmp_path / hash_bytes(A)).st_mode) == 0o444


async def test_the_least_recently_used_file_is_evicted_and_pinned_ones_stay(store: Counted, tmp_path: Path) -> None:
    cache = FileCache(store, tmp_path, max_bytes=2500)
    async with AsyncExitStack() as held:
        path = await held.enter_async_context(cache.pinned(hash_bytes(A)))
        await content(cache, B)
        await content(cache, C)
        assert files(tmp_path) == sorted(map(hash_bytes, (A, C)))
        for data in (B, C):
            await held.enter_async_context(cache.pinned(hash_bytes(data)))
        assert (len(files(tmp_path)), path.read_bytes()) == (3, A)  # more than the limit, because all are pinned
    assert len(files(tmp_path)) == 2


async def test_a_file_larger_than_the_limit_exists_while_it_is_pinned(store: Counted, tmp_path: Path) -> None:
    cache = FileCache(store, tmp_path, max_bytes=10)
    assert await content(cache, A) == A
    assert files(tmp_path) == []


async def test_a_restart_keeps_the_order_of_use_and_verifies_every_file(store: Counted, tmp_path: Path) -> None:
    first = FileCache(store, tmp_path, max_bytes=10_000)
    for data in (A, B):
        await content(first, data)
    os.utime(tmp_path / hash_bytes(A), (1, 1))
    damaged = tmp_path / hash_bytes(B)
    damaged.chmod(0o644)
    damaged.write_bytes(B[:-1] + b"x")
    (tmp_path / ".part-left").write_bytes(b"half")
    store.reads.clear()

    second = FileCache(store, tmp_path, max_bytes=2500)
    assert await content(second, B) == B
    assert store.reads == [hash_bytes(B)]
    assert await content(second, A) == A
    assert store.reads == [hash_bytes(B)]
    await content(second, C)
    assert files(tmp_path) == sorted(map(hash_bytes, (A, C)))


async def test_a_failed_fetch_fails_all_callers_and_is_tried_again(store: Counted, tmp_path: Path) -> None:
    cache = FileCache(store, tmp_path, max_bytes=10_000)
    with pytest.raises(BlobMissing):
        await content(cache, b"never seen")
    store.is_away = True
    answers = await asyncio.gather(content(cache, A), content(cache, A), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    store.is_away = False
    assert await content(cache, A) == A
    store._blobs[hash_bytes(B)] = b"else"
    with pytest.raises(BlobCorrupt):
        await content(cache, B)
    assert files(tmp_path) == [hash_bytes(A)]


async def test_a_cancelled_caller_does_not_cancel_the_fetch_of_others(store: Counted, tmp_path: Path) -> None:
    cache = FileCache(store, tmp_path, max_bytes=10_000)
    one, other = asyncio.create_task(content(cache, A)), asyncio.create_task(content(cache, A))
    await store.has_begun.wait()
    one.cancel()
    assert await other == A
    assert store.reads == [hash_bytes(A)]
    await cache.close()
