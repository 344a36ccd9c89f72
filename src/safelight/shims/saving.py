"""Files that packs write by path, as outputs of the job: reserving their numbers, and collecting them afterwards.

A pack requests a path (``get_save_image_path``), writes any number of files, and names them in its ui output. The
server knows which numbers are free, the pack how many it uses: the requested sequences are remembered until the job
ends, and when a call returns, the numbers that it used beyond the first are reserved too.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safelight.core.asset import FileName
from safelight.graph.instructions import Blocked, Returned
from safelight.sdk.context import Context, current
from safelight.worker.context import WorkerContext, worker_context

UNNAMED = "files"
"""The ui key of files in ``output`` that a node wrote without naming them."""

Result = Returned | Blocked


def begin_job(worker: WorkerContext, files: Mapping[str, Path]) -> None:
    """``files``: the owner's files by the names that the prompt has for them."""
    worker.filename_sequences.clear()
    if worker.has_workspace:
        worker.workspace.open(files)


def end_job(worker: WorkerContext) -> None:
    worker.filename_sequences.clear()
    if worker.has_workspace:
        worker.workspace.close()


def save_image_path(prefix: str, folder: str, *, width: int, height: int) -> tuple[str, str, int, str, str]:
    """Return what ``folder_paths.get_save_image_path`` does. Raises :class:`ValueError` for a prefix or a folder
    outside ``output`` and ``temp``."""
    worker = worker_context()
    top = Path(os.path.abspath(folder))
    for name in ("output", "temp"):
        place = worker.workspace.folder(name)
        if top.is_relative_to(place):
            within = top.relative_to(place).as_posix()
            break
    else:
        raise ValueError(f"invalid output folder {folder}; save below {worker.workspace.folder('output')}")
    full = prefix if within == "." else f"{within}/{prefix}"
    series = current().open_series(full, folder=name, width=width, height=height)
    worker.filename_sequences[name, series.subfolder, series.prefix] = series.first
    where = place / series.subfolder
    where.mkdir(parents=True, exist_ok=True)
    if series.first > 1:
        # Some packs count the files in the folder instead of using the number that is returned.
        worker.workspace.mark(where / f"{series.prefix}_{series.first - 1:05}_.png")
    subfolder = os.path.relpath(where, top)
    return str(where), series.prefix, series.first, "" if subfolder == "." else subfolder, prefix


def collect(worker: WorkerContext, context: Context, results: Iterable[Result], *, is_alone: bool) -> list[Result]:
    """Add the files that a call wrote to its outputs, when it returns. ``is_alone``: no other call runs, so all new
    files are its own; otherwise only those that its ui names."""
    results = list(results)
    if not worker.has_workspace:
        return results
    written = dict(worker.workspace.written())
    if not written:
        return results
    named = {name for r in results if isinstance(r, Returned) for name in _files_in(r.ui)}
    unnamed = [name for name in written if name not in named and is_alone and _is_output(name)]
    for name, path in written.items():
        if name in named or name in unnamed:
            context.adopt(path, folder=name.folder, subfolder=name.subfolder, filename=name.filename)
            worker.workspace.mark_collected(path)
            _advance(worker, context, name)
    return _with_files(results, unnamed) if unnamed else results


def _files_in(ui: Any) -> Iterable[FileName]:
    """Yield the files that a ui output names, at any depth of lists and dicts."""
    if isinstance(ui, Mapping):
        filename, subfolder, folder = ui.get("filename"), ui.get("subfolder", ""), ui.get("type", "output")
        if isinstance(filename, str) and isinstance(subfolder, str) and folder in ("output", "temp"):
            path = os.path.normpath(os.path.join(subfolder.replace("\\", "/"), filename))
            yield FileName(folder, os.path.dirname(path), os.path.basename(path))
        for value in ui.values():
            yield from _files_in(value)
    elif isinstance(ui, list | tuple):
        for value in ui:
            yield from _files_in(value)


def _is_output(name: FileName) -> bool:
    """Unnamed files in ``temp``, and hidden ones, are for a node's own use."""
    return name.folder == "output" and not name.filename.startswith(".")


def _advance(worker: WorkerContext, context: Context, name: FileName) -> None:
    """Reserve the numbers up to that of ``name``, if it belongs to a sequence."""
    for (folder, subfolder, prefix), last in list(worker.filename_sequences.items()):
        if (folder, subfolder) != (name.folder, name.subfolder):
            continue
        pattern = re.escape(prefix).replace(re.escape("%batch_num%"), r"\d+")
        found = re.match(rf"{pattern}_(\d+)", name.filename)
        if found and int(found[1]) > last:
            count = int(found[1]) - last
            whole = f"{subfolder}/{prefix}" if subfolder else prefix
            first = context.open_series(whole, folder=folder, count=count).first
            worker.filename_sequences[folder, subfolder, prefix] = first + count - 1


def _with_files(results: list[Result], names: Iterable[FileName]) -> list[Result]:
    shown = [{"filename": n.filename, "subfolder": n.subfolder, "type": str(n.folder)} for n in names]
    for index, result in enumerate(results):
        if isinstance(result, Returned):
            ui = dict(result.ui or {})
            ui[UNNAMED] = [*ui.get(UNNAMED, ()), *shown]
            results[index] = replace(result, ui=ui)
            break
    return results
