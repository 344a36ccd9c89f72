"""Opening a file in a thread, so that it is closed even if the caller is cancelled meanwhile."""

import asyncio
import threading
from pathlib import Path
from typing import BinaryIO


async def open_file(path: Path) -> BinaryIO:
    """Open ``path`` for unbuffered reading. Raises what :meth:`pathlib.Path.open` raises."""
    opening = _Opening(path)
    try:
        return await asyncio.to_thread(opening.run)
    except asyncio.CancelledError:
        opening.abandon()
        raise


class _Opening:
    """Mutable: the file, once it is open, and whether the caller has gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._is_abandoned = False

    def run(self) -> BinaryIO:
        file: BinaryIO = self._path.open("rb", 0)
        with self._lock:
            self._file = file
            if self._is_abandoned:
                file.close()
        return file

    def abandon(self) -> None:
        with self._lock:
            self._is_abandoned = True
            if self._file is not None:
                self._file.close()
