"""Which pack is being imported, on disk: a pack that ends the process costs one start, not every start.

The next process of the same server finds its name, skips the pack and reports why. A new server tries it again.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LoadJournal:
    """Mutable, like its file. ``path``: the same for each process of a slot under one server; another server has
    another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fatal: list[str] = []
        try:
            written = json.loads(path.read_text())
            self._fatal = [*written["fatal"], *written["importing"]]
        except (OSError, ValueError, KeyError):
            return  # no earlier process, or it finished
        self._write([])

    @contextmanager
    def importing(self, name: str) -> Iterator[None]:
        """Raises :class:`ImportError` for a pack that took a process down before."""
        if name in self._fatal:
            raise ImportError("the worker process ended while this pack was imported, so it is skipped until a restart")
        self._write([name])
        try:
            yield
        finally:
            self._write([])

    def finish(self) -> None:
        """Remove the file once everything is imported, unless it lists packs to skip."""
        if not self._fatal:
            self._path.unlink(missing_ok=True)

    def _write(self, importing: list[str]) -> None:
        self._path.write_text(json.dumps({"importing": importing, "fatal": self._fatal}))


def journal_of(server: int, *, slot: str) -> Path:
    """Return the path for the successive processes of a slot under one server, given by pid. Pids are reused, so the
    server's start time is part of the name. Files of servers that are gone are deleted, if this process can see
    others."""
    prefix = f"safelight-loading-{os.getuid()}-"
    folder = Path(tempfile.gettempdir())
    for left in folder.glob(f"{prefix}*") if _started(str(server)) else ():
        pid, started, *_ = left.name.removeprefix(prefix).split("-")
        if started != _started(pid):
            left.unlink(missing_ok=True)
    return folder / f"{prefix}{server}-{_started(str(server))}-{re.sub(r'[^a-z0-9-]', '', slot) or 'any'}.json"


def _started(pid: str) -> str:
    """Return a process's start time in ticks since boot; empty if there is no such process."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
