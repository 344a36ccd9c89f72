"""Copying from store to store: completely, once, and again after an interruption."""

from pathlib import Path

import pytest

from safelight.blobs.copying import CopyProgress, copy_all
from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.blobs.memory import MemoryBlobStore
from safelight.blobs.object import ObjectBlobStore
from safelight.blobs.store import StoreUnavailable
from safelight.blobs.stores import BlobStoreConfig

pytestmark = pytest.mark.anyio

MANY = [b"blob %d" % n for n in range(30)]


@pytest.fixture
async def source(tmp_path: Path) -> LocalBlobStore:
    store = LocalBlobStore(tmp_path / "blobs")
    for data in MANY:
        writer = store.writer()
        await writer.write(data)
        await writer.finish()
    return store


async def test_an_interrupted_copy_continues(source: LocalBlobStore, tmp_path: Path) -> None:
    target = ObjectBlobStore(BlobStoreConfig(folder=tmp_path, url="memory:///"))
    steps: list[int] = []

    def cut_off(copied: CopyProgress) -> None:
        steps.append(copied.blobs)
        if copied.blobs == 10:
            raise StoreUnavailable("cut off")

    with pytest.raises(StoreUnavailable, match="cut off"):
        await copy_all(source, target, on_progress=cut_off)
    copied = await copy_all(source, target, on_progress=lambda copied: None)
    assert copied.skipped >= 10
    assert (copied.blobs + copied.skipped, copied.damaged) == (30, [])
    for data in MANY:
        assert b"".join([chunk async for chunk in target.read(hash_bytes(data))]) == data


async def test_damaged_blobs_are_reported_and_not_copied(source: LocalBlobStore) -> None:
    path = source.local_path(hash_bytes(MANY[3]))
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"else")
    target = MemoryBlobStore()
    copied = await copy_all(source, target, on_progress=lambda copied: None)
    assert (copied.blobs, copied.damaged) == (29, [hash_bytes(MANY[3])])
    assert await target.stat(hash_bytes(MANY[3])) is None
