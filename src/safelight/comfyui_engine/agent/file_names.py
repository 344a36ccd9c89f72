"""Names of saved files: a node numbers its files from 1, because its folder is empty when a job begins; the owner finds
them under the next free numbers of the same series."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .job_folders import FileName

_NUMBERED = re.compile(r"(?P<prefix>.+)_(?P<number>\d{5})(?P<rest>(?:[_.-].*)?)", re.DOTALL)
"""``ComfyUI_00001_.png``; some packs leave the last underscore out, or write ``film_00001-audio.mp4``."""
_MAX_NAME_BYTES = 255
_MAX_FOLDERS = 32

Reserve = Callable[[str, str, str, int], "int | None"]
"""Takes folder, subfolder, prefix and count; reserves numbers, and returns the first; ``None`` if the job is being
cancelled."""


class Unnumbered(Exception):
    """No numbers could be reserved, because the job is being cancelled."""


@dataclass
class _Series:
    """``numbers``: the owner's number for each of the node's, which are reserved up to ``last``."""

    numbers: dict[int, int] = field(default_factory=dict)
    last: int = 0


class FileNames:
    """Mutable: the names of one job."""

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._series: dict[tuple[str, str, str], _Series] = {}
        self._names: dict[FileName, FileName] = {}

    def shown(self, written: FileName) -> FileName:
        """The name under which the owner finds a file that was reported; any other name is returned unchanged."""
        return self._names.get(written, written)

    def assign(self, written: FileName) -> FileName:
        """The name under which the owner will find a file. Waits for the server. Raises :class:`Unnumbered`."""
        if written not in self._names:
            self._names[written] = self._assign(written)
        return self._names[written]

    def _assign(self, written: FileName) -> FileName:
        found = _NUMBERED.fullmatch(written.filename)
        if found is None or int(found["number"]) == 0:
            return written
        number = self._number(written, found["prefix"], int(found["number"]))
        return FileName(written.folder, written.subfolder, f"{found['prefix']}_{number:05}{found['rest']}")

    def _number(self, written: FileName, prefix: str, number: int) -> int:
        series = self._series.setdefault((written.folder, written.subfolder, prefix), _Series())
        if number > series.last:
            first = self._reserve(written.folder, written.subfolder, prefix, number - series.last)
            if first is None:
                raise Unnumbered
            series.numbers.update({series.last + 1 + n: first + n for n in range(number - series.last)})
            series.last = number
        return series.numbers[number]


def is_valid(name: FileName) -> bool:
    """Whether the server can keep a file of that name."""
    segments = name.subfolder.split("/") if name.subfolder else []
    return len(segments) <= _MAX_FOLDERS and all(map(_is_segment, (*segments, name.filename)))


def is_hidden(name: FileName) -> bool:
    """Whether a node would not show the file: its name, or that of a folder above it, begins with a dot."""
    return any(segment.startswith(".") for segment in (*name.subfolder.split("/"), name.filename))


def _is_segment(segment: str) -> bool:
    if segment in ("", ".", "..") or "\\" in segment or ":" in segment or not segment.isprintable():
        return False
    return len(segment.encode("utf-8", "surrogatepass")) <= _MAX_NAME_BYTES
