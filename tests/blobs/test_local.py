"""The files of the local store."""

import asyncio
import contextlib
import os
import random
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.store import BlobCorrupt
from safelight.core.digest import Digest
from safelight.core.errors import InvalidDigest

pytestmark = pytest.mark.anyio


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_blob_is_stored_under_its_digest_and_is_read_only(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    writer = store.writer()
    await writer.write(b"picture")
    digest, _ = await writer.finish()
    assert files(tmp_path) == [f"b3/{digest[:2]}/{digest[2:4]}/{digest}"]
    path = store.local_path(digest)
    assert path is not None
    assert path.read_bytes() == b"picture"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444


async def test_unfinished_uploads_of_a_crash_are_removed_at_the_next_start(tmp_path: Path) -> None:
    writer = LocalBlobStore(tmp_path).writer()
    await writer.write(b"x" * 100_000)
    assert len(files(tmp_path)) == 1  # no abort: the process was killed

    store = LocalBlobStore(tmp_path)
    assert len(files(tmp_path)) == 1  # a command that opens the folder beside a server removes nothing
    store.clean_up()
    assert files(tmp_path) == []
    assert await store.stat(hash_bytes(b"x" * 100_000)) is None
    await writer.abort()


async def test_an_aborted_write_leaves_no_file(tmp_path: Path) -> None:
    writer = LocalBlobStore(tmp_path).writer()
    await writer.write(b"x" * 100_000)
    await writer.abort()
    await writer.abort()
    assert files(tmp_path) == []


@pytest.mark.parametrize("text", ["../../etc/passwd", "A" * 64, "", "0" * 63, "0" * 64 + "/"])
async def test_only_a_digest_becomes_a_path(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidDigest):
        await LocalBlobStore(tmp_path).stat(Digest(text))


async def test_a_range_of_a_file_that_was_damaged_later_is_refused(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    data = random.Random(1).randbytes(3_000_000)
    digest = await kept(store, data)
    assert b"".join([c async for c in store.read(digest, start=5, end=10)]) == data[5:10]
    path = store.local_path(digest)
    assert path is not None
    path.chmod(0o644)
    with path.open("r+b") as file:  # the range itself is unchanged
        file.seek(2_000_000)
        file.write(b"x" if data[2_000_000] != ord("x") else b"y")
    with pytest.raises(BlobCorrupt):
        _ = [c async for c in store.read(digest, start=5, end=10)]


async def test_an_unfinished_removal_is_put_back(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    digest = await kept(store, b"picture")
    path = store.local_path(digest)
    assert path is not None
    os.replace(path, tmp_path / "leaving" / digest)
    assert b"".join([c async for c in store.read(digest)]) == b"picture"  # readers look in both places
    assert LocalBlobStore(tmp_path).local_path(digest) == path
    assert path.read_bytes() == b"picture"
    assert files(tmp_path) == [f"b3/{digest[:2]}/{digest[2:4]}/{digest}"]


async def test_a_collector_never_removes_a_blob_that_is_stored_again_meanwhile(tmp_path: Path) -> None:
    """A blob is made old and stored again repeatedly while a thread collects garbage."""
    store = LocalBlobStore(tmp_path)
    digest = await kept(store, b"again")
    path = store.local_path(digest)
    assert path is not None
    stop = threading.Event()

    async def collect() -> None:
        while not stop.is_set():
            await store.delete(digest, kept_before=datetime.now(UTC) - timedelta(hours=1))

    collector = threading.Thread(target=asyncio.run, args=(collect(),))
    collector.start()
    try:
        for _ in range(300):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (0, 0))  # old garbage, which the collector may remove at any moment from here on
            assert await kept(store, b"again") == digest
            assert b"".join([c async for c in store.read(digest)]) == b"again"
            assert await store.stat(digest) == 5
    finally:
        stop.set()
        collector.join()
    assert path.read_bytes() == b"again"


async def kept(store: LocalBlobStore, data: bytes) -> Digest:
    writer = store.writer()
    await writer.write(data)
    return (await writer.finish())[0]
