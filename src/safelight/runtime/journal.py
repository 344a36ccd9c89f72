"""Which pack is being imported, on disk: so that one that takes the process down costs one start, and not every one.

The next process with the same server finds its name, leaves it out, and says why. A new server tries again.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LoadJournal:
    """Mutable, as its file is. ``path`` is the same for each process of a slot, and another one for another server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fatal: list[str] = []
        try:
            written = json.loads(path.read_text())
            self._fatal = [*written["fatal"], *written["importing"]]
        except (OSError, ValueError, KeyError):
            return  # nothing was left behind
        self._write([])

    @contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """Raises :class:`ImportError` for a pack that took a process down before."""
        if name in self._fatal:
            raise ImportError(
                "the worker process ended while this pack was imported, so it is left out until a restart"
            )
        self._write([name])
        try:
            yield
        finally:
            self._write([])

    def finish(self) -> None:
        """Everything is imported."""
        if not self._fatal:
            self._path.unlink(missing_ok=True)

    def _write(self, importing: list[str]) -> None:
        self._path.write_text(json.dumps({"importing": importing, "fatal": self._fatal}))


def journal_of(server: int, *, slot: str) -> Path:
    """The same for the processes of a slot that follow one another under one server (its pid), and for no others: pids
    are used again, so the time when it was started is part of the name. Those of servers that are gone are swept, where
    this process can see others."""
    prefix = f"safelight-loading-{os.getuid()}-"
    folder = Path(tempfile.gettempdir())
    for left in folder.glob(f"{prefix}*") if _started(str(server)) else ():
        pid, started, *_ = left.name.removeprefix(prefix).split("-")
        if started != _started(pid):
            left.unlink(missing_ok=True)
    return folder / f"{prefix}{server}-{_started(str(server))}-{re.sub(r'[^a-z0-9-]', '', slot) or 'any'}.json"


def _started(pid: str) -> str:
    """Ticks since the machine was started; empty for a process that there is not."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
