"""Folders on disk for packs that work with paths: ``input``, ``output``, ``temp`` and ``user`` of ``folder_paths``.

They are this process's own and stay where they are, since packs ask for them once, when they are imported or made. What
lies in them changes: while a job runs, ``input`` holds the files that its prompt names, and nothing of anyone else;
what a call writes to ``output`` or ``temp`` is taken over when it returns (:meth:`Workspace.collect`); after the job
they are empty. A process runs one job at a time, so that no two owners ever meet here.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from safelight.core.asset import FileName, Folder, parse_file_name
from safelight.core.errors import InvalidName


class Workspace:
    """Mutable: the files of the job that runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._given: dict[Path, tuple[int, int]] = {}
        for name in ("input", "output", "temp", "user/default", "models", "custom_nodes"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        return self.root / name

    def path_of(self, name: str, *, default: Folder = Folder.INPUT) -> Path:
        """Where the file of an (annotated) name lies or would lie. Raises :class:`InvalidName`."""
        return self._place(parse_file_name(name, default=default))

    def open(self, files: Mapping[str, Path]) -> None:
        """A job begins. ``files``: the owner's files by the names that the prompt has for them."""
        self.close()
        for name, source in files.items():
            with contextlib.suppress(InvalidName):
                self._give(source, self.path_of(name))

    def close(self) -> None:
        """The job is over: nothing of it stays."""
        for name in Folder:
            for path in self.folder(name).iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        self._given = {}

    def written(self) -> Iterator[tuple[FileName, Path]]:
        """What lies in ``output`` and ``temp`` and was not given by :meth:`open`, in the order of its names."""
        for folder in (Folder.OUTPUT, Folder.TEMP):
            top = self.folder(folder)
            for where, _, names in sorted(os.walk(top)):
                for name in sorted(names):
                    path = Path(where, name)
                    if path.is_file() and not self._is_as_given(path):
                        subfolder = Path(where).relative_to(top).as_posix()
                        yield FileName(folder, "" if subfolder == "." else subfolder, name), path

    def mark(self, path: Path) -> None:
        """Put an empty file where a pack would look for the last number that is taken."""
        if not path.exists():
            path.touch()
            self._given[path] = _stamp(path)

    def take(self, path: Path) -> None:
        """The file was taken over; it stays for calls that know its path, and counts again when it is written anew."""
        self._given[path] = _stamp(path)

    def _place(self, name: FileName) -> Path:
        return self.folder(name.folder) / name.subfolder / name.filename

    def _give(self, source: Path, path: Path) -> None:
        """A link where nothing can be written through it; else a copy, as what the owner uploaded must not change. A
        file whose bytes are gone is missing here too: it is for the node to say so."""
        if not source.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if os.access(source, os.W_OK):
            shutil.copyfile(source, path)
        else:
            path.symlink_to(source)
        self._given[path] = _stamp(path)

    def _is_as_given(self, path: Path) -> bool:
        return path.is_symlink() or self._given.get(path) == _stamp(path)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def make_workspace() -> Workspace:
    """In the system's folder for temporary files. A worker may be killed, so the next one clears up after it: a folder
    whose lock is free has no process any more."""
    name = f"safelight-worker-{os.getuid()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{name}*"):
        with contextlib.suppress(OSError):
            lock = os.open(left / ".lock", os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
    root = Path(tempfile.mkdtemp(prefix=name))
    # Never closed: the lock is held for as long as the process lives.
    fcntl.flock(os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return Workspace(root)
