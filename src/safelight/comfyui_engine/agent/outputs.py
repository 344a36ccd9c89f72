"""Finds the files that nodes write, where one node ends and the next begins, and reports them as outputs of the job.

Events of ComfyUI are sent by the thread that runs nodes, in step with them, so that what is new in ``output`` and
``temp`` at an event was written by the node before it. The one exception are nodes that are coroutines, which overlap:
while one of them runs, a file belongs to the node whose output names it, and what no output names waits.

A file is copied to the job's staging folder; the original stays until the job ends, for nodes that know its path. Names
of files in outputs are changed in place, to those under which the owner finds them: ComfyUI keeps the same objects in
its cache, and shows them again when the node is cached.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Outputs:
    """Mutable: the files of one job that were found."""

    def __init__(self, job: RunningJob, folders: JobFolders, digests: DigestClient) -> None:
        self._job = job
        self._folders = folders
        self._digests = digests
        self._names = FileNames(job.reserve)
        self.failure: OSError | None = None
        """Why the job cannot continue: its files cannot be stored."""

    def collect(
        self, output: Any, *, takes_unnamed: bool
    ) -> tuple[dict[str, Any] | None, list[dict[str, Any]], list[FileName]]:
        """The output of a node as its owner sees it, the files that are new, and those among them that it did not name.

        ``output``: what the node shows, which is changed in place; ``None`` for a node that shows nothing.
        ``takes_unnamed``: whether files that it does not name are its own, because no other node runs.
        """
        shown = output if isinstance(output, dict) else None
        named = [name for name, _ in files_in(shown)]
        new = [(name, path) for name, path in self._folders.written() if is_valid(name)]
        mine = [item for item in new if item[0] in named or (takes_unnamed and _is_output(item[0]))]
        try:
            saved = [self._save(name, path) for name, path in mine]
        except Unnumbered:
            return (None if shown is None else plain(shown)), [], []
        except OSError as error:
            self.failure = self.failure or error
            return (None if shown is None else plain(shown)), [], []
        unnamed = [self._names.shown(name) for name, _ in mine if name not in named]
        if shown is not None:
            self._rename(shown)
        return with_unnamed(shown, unnamed), saved, unnamed

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

    def _rename(self, output: dict[str, Any]) -> None:
        """Change the names of files in an output, and in the texts beside them: some packs also give a path, or name a
        second file."""
        for name, item in list(files_in(output)):
            for key, value in item.items():
                if isinstance(value, str) and key not in ("subfolder", "type"):
                    item[key] = self._renamed(value, name)

    def _renamed(self, text: str, beside: FileName) -> str:
        folder, slash, last = text.rpartition("/")
        shown = self._names.shown(FileName(beside.folder, beside.subfolder, last)).filename
        return f"{folder}{slash}{shown}".replace(str(self._folders.tops[beside.folder]), beside.folder)


def files_in(output: Any) -> Iterator[tuple[FileName, dict[str, Any]]]:
    """Yield the files that an output names, at any depth of lists and maps, with the map that names each."""
    if isinstance(output, dict):
        filename, subfolder = output.get("filename"), output.get("subfolder", "")
        folder = plain(output.get("type", "output"))
        if isinstance(filename, str) and isinstance(subfolder, str) and folder in ("output", "temp"):
            parts = [part for part in f"{subfolder}/{filename}".replace("\\", "/").split("/") if part not in ("", ".")]
            if parts and ".." not in parts:
                yield FileName(folder, "/".join(parts[:-1]), parts[-1]), output
        for value in output.values():
            yield from files_in(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from files_in(value)


def with_unnamed(output: Mapping[str, Any] | None, unnamed: Sequence[FileName]) -> dict[str, Any] | None:
    """An output as plain data, with the files that it does not name."""
    if not unnamed:
        return None if output is None else plain(output)
    shown: dict[str, Any] = plain(output or {})
    entries = [{"filename": n.filename, "subfolder": n.subfolder, "type": n.folder} for n in unnamed]
    before = shown.get(UNNAMED)
    return shown | {UNNAMED: [*(before if isinstance(before, list) else ()), *entries]}


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
