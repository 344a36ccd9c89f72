"""Folders on disk for packs that work with paths: ``input``, ``output``, ``temp`` and ``user`` of ``folder_paths``.

They belong to this process and never move, since packs read the paths once, when they are imported or created. Their
content changes: while a job runs, ``input`` has the files that its prompt names, and no others; what a call writes to
``output`` or ``temp`` is copied to the job's outputs when it returns (``shims/saving.py``); after the job they are
empty. A process runs one job at a time, so files of two owners are never here together.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from safelight.core.asset import FileName, Folder, parse_file_name
from safelight.core.errors import InvalidName
from safelight.sandbox import file_lock


class Workspace:
    """Mutable: the files of the running job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[Path, tuple[int, int]] = {}
        for name in ("input", "output", "temp", "user/default", "models", "custom_nodes"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        return self.root / name

    def path_of(self, name: str, *, default: Folder = Folder.INPUT) -> Path:
        """Return the path for an (annotated) name, whether or not the file exists. Raises :class:`InvalidName`."""
        return self._place(parse_file_name(name, default=default))

    def open(self, files: Mapping[str, Path]) -> None:
        """Begin a job. ``files``: the owner's files by the names that the prompt has for them."""
        self.close()
        for name, source in files.items():
            with contextlib.suppress(InvalidName):
                self._provide(source, self.path_of(name))

    def close(self) -> None:
        """End a job: remove all of its files."""
        for name in Folder:
            for path in self.folder(name).iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        self._known = {}

    def written(self) -> Iterator[tuple[FileName, Path]]:
        """Yield the files in ``output`` and ``temp`` that :meth:`open` did not put there, ordered by name."""
        for folder in (Folder.OUTPUT, Folder.TEMP):
            top = self.folder(folder)
            for where, _, names in sorted(os.walk(top)):
                for name in sorted(names):
                    path = Path(where, name)
                    if path.is_file() and not self._is_unchanged(path):
                        subfolder = Path(where).relative_to(top).as_posix()
                        yield FileName(folder, "" if subfolder == "." else subfolder, name), path

    def mark(self, path: Path) -> None:
        """Make an empty file where a pack looks for the last used number."""
        if not path.exists():
            path.touch()
            self._known[path] = _stamp(path)

    def mark_collected(self, path: Path) -> None:
        """Record that the file was copied to the outputs. It stays for calls that know its path, and counts as written
        again if it changes."""
        self._known[path] = _stamp(path)

    def _place(self, name: FileName) -> Path:
        return self.folder(name.folder) / name.subfolder / name.filename

    def _provide(self, source: Path, path: Path) -> None:
        """Link the file if it cannot be written to through the link, otherwise copy it, as an upload must not change. A
        file whose bytes are gone is left out: the node reports it."""
        if not source.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if os.access(source, os.W_OK):
            shutil.copyfile(source, path)
        else:
            path.symlink_to(source)
        self._known[path] = _stamp(path)

    def _is_unchanged(self, path: Path) -> bool:
        return path.is_symlink() or self._known.get(path) == _stamp(path)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def make_workspace() -> Workspace:
    """Make a workspace in the system's temporary folder, and remove those of workers that were killed: if the lock of a
    workspace is free, its process has ended."""
    name = f"safelight-worker-{os.getuid()}-"
    for old in Path(tempfile.gettempdir()).glob(f"{name}*"):
        with contextlib.suppress(OSError):
            lock = os.open(old / ".lock", os.O_RDWR)
            try:
                file_lock.lock(lock, wait=False)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                os.close(lock)
    root = Path(tempfile.mkdtemp(prefix=name))
    # Never closed: the process keeps the lock until it ends.
    file_lock.lock(os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return Workspace(root)
