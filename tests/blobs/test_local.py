"""What the local store does on the disk."""

import os
import stat
from pathlib import Path

import pytest

from safelight.blobs.hashing import hash_bytes
from safelight.blobs.local import LocalBlobStore
from safelight.core.digest import Digest
from safelight.core.errors import InvalidDigest

pytestmark = pytest.mark.anyio


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_a_blob_lies_under_its_digest_and_cannot_be_written(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    writer = store.writer()
    await writer.write(b"picture")
    digest, _ = await writer.finish()
    assert files(tmp_path) == [f"b3/{digest[:2]}/{digest[2:4]}/{digest}"]
    path = store.local_path(digest)
    assert path is not None
    assert path.read_bytes() == b"picture"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o444


async def test_what_a_crash_left_half_written_is_swept_at_the_start(tmp_path: Path) -> None:
    writer = LocalBlobStore(tmp_path).writer()
    await writer.write(b"x" * 100_000)
    assert len(files(tmp_path)) == 1  # and no abort: the process is gone

    store = LocalBlobStore(tmp_path)
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
