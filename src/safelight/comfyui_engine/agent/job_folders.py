"""The folders that nodes know as ComfyUI's input, output and temporary folder, with the files of one job only.

They belong to this process and never move, because nodes read their paths once. While a job runs, ``input`` has the
files that its prompt names and no others; after it, all three are empty.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDERS = ("input", "output", "temp")
_UPLOADS = "input"


@dataclass(frozen=True)
class FileName:
    """Where a client finds a file: ``folder`` is one of :data:`FOLDERS`."""

    folder: str
    subfolder: str
    filename: str


class JobFolders:
    """Mutable: the files that have been seen."""

    def __init__(self, tops: Mapping[str, Path]) -> None:
        """``tops``: the three folders, by their names."""
        self.tops = tops
        self._seen: dict[str, tuple[int, int]] = {}

    def fill(self, files: Mapping[str, Path]) -> None:
        """Begin a job. ``files``: the owner's files by the texts that name them. Raises :class:`OSError`."""
        self.clear()
        place(files, self.tops)
        self._seen = {path: stamp for path, _, stamp in self._walk()}

    def clear(self) -> None:
        """Remove all files of a job."""
        for top in self.tops.values():
            top.mkdir(parents=True, exist_ok=True)
            with os.scandir(top) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        with contextlib.suppress(OSError):
                            os.unlink(entry.path)
        self._seen = {}

    def written(self) -> list[tuple[FileName, Path]]:
        """The files in ``output`` and ``temp`` that were written since they were last marked, ordered by name."""
        found = [(name, Path(path)) for path, name, stamp in self._walk() if self._seen.get(path) != stamp]
        return sorted(found, key=lambda item: (item[0].folder, item[0].subfolder, item[0].filename))

    def mark(self, path: Path) -> None:
        """The file was dealt with; if it changes, it counts as written again."""
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            self._seen[str(path)] = (status.st_mtime_ns, status.st_size)

    def _walk(self) -> Iterator[tuple[str, FileName, tuple[int, int]]]:
        for folder in ("output", "temp"):
            yield from _files_below(str(self.tops[folder]), folder, "")


def _files_below(path: str, folder: str, subfolder: str) -> Iterator[tuple[str, FileName, tuple[int, int]]]:
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # removed meanwhile
        if stat.S_ISDIR(status.st_mode):
            yield from _files_below(entry.path, folder, f"{subfolder}/{entry.name}".lstrip("/"))
        elif stat.S_ISREG(status.st_mode):
            yield entry.path, FileName(folder, subfolder, entry.name), (status.st_mtime_ns, status.st_size)


def place(files: Mapping[str, Path], tops: Mapping[str, Path]) -> None:
    """Put files where nodes look for the names that a prompt has for them. A name that would leave its folder, and a
    file whose bytes are gone, are left out: the node reports that. Raises :class:`OSError`."""
    for text, source in files.items():
        path = path_of(text, tops)
        if path is None or not source.is_file() or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _links(source, path):
            shutil.copyfile(source, path)
            _keep_times(source, path)


def _links(source: Path, path: Path) -> bool:
    """Link a file if no node can write to it through the link: an upload must never change. A hard link, because newer
    versions of ComfyUI refuse symbolic ones."""
    if source.stat().st_uid == os.geteuid() or os.access(source, os.W_OK):
        return False
    try:
        os.link(source, path)
    except OSError:
        return False
    return True


def _keep_times(source: Path, path: Path) -> None:
    """Fingerprints of some loaders contain the time of a file: the same file has the same time in each job."""
    status = source.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def path_of(text: str, tops: Mapping[str, Path]) -> Path | None:
    """The path of an annotated name such as ``sub/a.png [output]``; ``None`` if it would lie outside its folder."""
    folder = _UPLOADS
    for candidate in FOLDERS:
        if text.endswith(f" [{candidate}]"):
            folder, text = candidate, text[: -len(candidate) - 3]
            break
    name = os.path.normpath(text.replace("\\", "/"))
    if os.path.isabs(name) or name.split("/")[0] in ("", ".", "..") or not name.isprintable():
        return None
    return tops[folder] / name


_tops_here: ContextVar[Mapping[str, Path] | None] = ContextVar("safelight_folders", default=None)


@contextlib.contextmanager
def other_folders(tops: Mapping[str, Path]) -> Iterator[None]:
    """Have ``folder_paths`` answer with ``tops`` in this context: inputs are validated while another job runs."""
    token = _tops_here.set(tops)
    try:
        yield
    finally:
        _tops_here.reset(token)


def follow_context(folder_paths: Any, folders: Iterable[str] = FOLDERS) -> None:
    """Make ``folder_paths`` follow :func:`other_folders`."""

    def follow(name: str, original: Any) -> None:
        def directory() -> str:
            tops = _tops_here.get()
            return str(original()) if tops is None else str(tops[name])

        setattr(folder_paths, f"get_{name}_directory", directory)

    for folder in folders:
        follow(folder, getattr(folder_paths, f"get_{folder}_directory"))
