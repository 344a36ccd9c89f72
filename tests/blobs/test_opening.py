"""A file that is opened in a thread is closed even if the caller was cancelled."""

import asyncio
import os
from pathlib import Path

import pytest

from safelight.blobs.opening import open_file

pytestmark = pytest.mark.anyio


def open_files(folder: Path) -> list[str]:
    found = []
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


async def test_cancelled_callers_leave_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    for turns in range(40):
        opening = asyncio.create_task(open_file(path))
        for _ in range(turns % 4):
            await asyncio.sleep(0)
        opening.cancel()
        [file] = await asyncio.gather(opening, return_exceptions=True)
        if not isinstance(file, BaseException):
            file.close()  # it was open before the cancel came
    await asyncio.to_thread(lambda: None)
    with await open_file(path) as file:
        assert file.read() == b"bytes"
        assert open_files(tmp_path) == [str(path)]
