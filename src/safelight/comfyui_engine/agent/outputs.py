"""Finds the files that nodes write, where one node ends and the next begins, and reports them as outputs of the job.

Events of ComfyUI are sent by the thread that runs nodes, in step with them, so that what is new in ``output`` and
``temp`` at an event was written by the node before it. The one exception are nodes that are coroutines, which overlap:
while one of them runs, a file belongs to the node whose output names it, and what no output names waits.

A file is copied to the job's staging folder; the original stays until the job ends, for nodes that know its path. What
a node shows is not changed: its copy gets the names under which the owner finds the files, and so does what ComfyUI
shows again when the node is cached.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .codec import plain
from .digest_client import DigestClient
from .file_names import FileNames, Unnumbered, is_hidden, is_valid
from .job_folders import FileName, JobFolders
from .kept_results import KeptFile
from .running_job import RunningJob

UNNAMED = "files"
"""The key of files in ``output`` that a node wrote without naming them."""
_MAX_EXTENSION = 16


Names = Mapping[FileName, FileName]
"""By the names that a node gave its files, those under which the owner finds them."""


@dataclass(frozen=True)
class Collected:
    """``output``: what a node shows, as its owner sees it. ``files``: those that are new, and ``unnamed``: those among
    them that it does not name. ``names``: of all files that it shows or wrote."""

    output: dict[str, Any] | None
    files: Sequence[dict[str, Any]] = ()
    unnamed: Sequence[FileName] = ()
    names: Names = field(default_factory=dict)


class Outputs:
    """Mutable: the files of one job that were found."""

    def __init__(self, job: RunningJob, folders: JobFolders, digests: DigestClient) -> None:
        self._job = job
        self._folders = folders
        self._digests = digests
        self._names = FileNames(job.reserve)
        self.failure: OSError | None = None
        """Why the job cannot continue: its files cannot be stored."""

    def collect(self, output: Any, *, takes_unnamed: bool) -> Collected:
        """Find and store the new files of a node. ``output``: what it shows; ``None`` for a node that shows nothing.
        ``takes_unnamed``: whether files that it does not name are its own, because no other node runs."""
        shown = plain(output) if isinstance(output, dict) else None
        named = list(files_in(shown))
        new = [(name, path) for name, path in self._folders.written() if is_valid(name)]
        mine = [item for item in new if item[0] in named or (takes_unnamed and _is_output(item[0]))]
        try:
            saved = [self._save(name, path) for name, path in mine]
        except Unnumbered:
            return Collected(shown)
        except OSError as error:
            self.failure = self.failure or error
            return Collected(shown)
        names = {name: self._names.shown(name) for name in (*named, *(name for name, _ in mine))}
        unnamed = [names[name] for name, _ in mine if name not in named]
        return Collected(self.renamed(shown, names, unnamed), saved, unnamed, names)

    def renamed(self, output: Any, names: Names, unnamed: Sequence[FileName]) -> dict[str, Any] | None:
        """What a node shows with the names under which the owner finds its files, and with the files that it does not
        name. A file that has no such name is left out: it is of an earlier job and gone."""
        shown = None if output is None else _renamed(plain(output), names, str(self._folders.tops["output"]))
        if not unnamed:
            return shown
        entries = [{"filename": n.filename, "subfolder": n.subfolder, "type": n.folder} for n in unnamed]
        before = (shown or {}).get(UNNAMED)
        return (shown or {}) | {UNNAMED: [*(before if isinstance(before, list) else ()), *entries]}

    def kept(self, files: Iterable[Mapping[str, Any]]) -> list[KeptFile]:
        """Reported files as a later job may ask for them."""
        return [(FileName(file["folder"], file["subfolder"], file["filename"]), file["digest"]) for file in files]

    def _save(self, written: FileName, path: Path) -> dict[str, Any]:
        name = self._names.assign(written)
        self._folders.mark(path)
        copy = self._job.new_path(_extension(path))
        shutil.copyfile(path, copy)
        digest, mime_type = self._digests.describe(copy, name.filename)
        size = copy.stat().st_size
        return {**vars(name), "path": str(copy), "size": size, "digest": digest, "mime_type": mime_type}


def files_in(output: Any) -> Iterator[FileName]:
    """Yield the files that an output names, at any depth of lists and maps."""
    if isinstance(output, dict):
        if (file := _file_of(output)) is not None:
            yield file
        for value in output.values():
            yield from files_in(value)
    elif isinstance(output, list):
        for value in output:
            yield from files_in(value)


def _renamed(value: Any, names: Names, top: str) -> Any:
    if isinstance(value, list):
        kept = [item for item in value if (file := _file_of(item)) is None or file in names]
        return [_renamed(item, names, top) for item in kept]
    if not isinstance(value, dict):
        return value
    file = _file_of(value)
    renamed = {key: _renamed(item, names, top) for key, item in value.items()}
    if file is not None:
        for key, item in value.items():
            if isinstance(item, str) and key not in ("subfolder", "type"):
                renamed[key] = _text_beside(item, file, names).replace(top, "output")
    return renamed


def _text_beside(text: str, file: FileName, names: Names) -> str:
    """The name of a file, or a text beside it: some packs also give its path, or name a second file."""
    folder, slash, last = text.rpartition("/")
    there = FileName(file.folder, file.subfolder, last)
    return f"{folder}{slash}{names.get(there, there).filename}"


def _file_of(value: Any) -> FileName | None:
    """The file that a map of an output names."""
    if not isinstance(value, dict):
        return None
    filename, subfolder, folder = value.get("filename"), value.get("subfolder", ""), value.get("type", "output")
    if not (isinstance(filename, str) and isinstance(subfolder, str) and folder in ("output", "temp")):
        return None
    parts = [part for part in f"{subfolder}/{filename}".replace("\\", "/").split("/") if part not in ("", ".")]
    return FileName(folder, "/".join(parts[:-1]), parts[-1]) if parts and ".." not in parts else None


def _is_output(name: FileName) -> bool:
    """Unnamed files in ``temp``, and hidden ones, are for a node's own use."""
    return name.folder == "output" and not is_hidden(name)


def _extension(path: Path) -> str:
    extension = path.suffix
    return extension if extension[1:].isalnum() and extension.isascii() and len(extension) <= _MAX_EXTENSION else ""


def can_write(folder: Path) -> bool:
    """Whether a folder still takes files: libraries raise errors of their own when a disk is full."""
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(64 * 1024))
        return True
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
