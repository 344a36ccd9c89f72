"""Which combos list the files of a model folder, so that the server can list them as they are on the disk at any time.

ComfyUI is asked for its nodes a second time, while the list of each folder of models has one more entry that names the
folder. A combo in which that entry comes back lists the folder, and what else it offers is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_MARK = "safelight model folder: "


@dataclass(frozen=True)
class ModelCombo:
    """A combo that lists the files of ``folder``, of which there were ``names``."""

    folder: str
    names: frozenset[str]

    def without_listed(self, options: Iterable[Any]) -> list[Any]:
        """What the combo offers besides these files."""
        return [one for one in options if not (isinstance(one, str) and one in self.names)]


@contextmanager
def marked_lists(folder_paths: Any, folders: Iterable[str]) -> Iterator[dict[str, frozenset[str]]]:
    """Have ``folder_paths`` mark the lists of these ``folders``. Yields a table of the files that it has listed by
    folder, which grows meanwhile."""
    known = frozenset(folders)
    listed: dict[str, frozenset[str]] = {}
    original = folder_paths.get_filename_list

    def get_filename_list(folder_name: str, *arguments: Any, **options: Any) -> list[str]:
        names = list(original(folder_name, *arguments, **options))
        folder = _current_name(folder_paths, folder_name)
        if folder not in known:
            return names
        listed[folder] = frozenset(names)
        return [*names, f"{_MARK}{folder}"]

    folder_paths.get_filename_list = get_filename_list
    try:
        yield listed
    finally:
        folder_paths.get_filename_list = original


def combos_of(infos: Mapping[str, Any], listed: Mapping[str, frozenset[str]]) -> dict[tuple[str, str], ModelCombo]:
    """The combos of the marked answer that list a folder, by node and input."""
    found = {}
    for node, info in infos.items():
        sections = info.get("input") if isinstance(info, Mapping) else None
        for section in (sections or {}).values():
            for name, spec in section.items() if isinstance(section, Mapping) else ():
                if (folder := _folder_of(spec)) in listed:
                    found[str(node), str(name)] = ModelCombo(folder, listed[folder])
    return found


def _folder_of(spec: Any) -> str:
    """The folder that a combo lists; empty if it lists none, or several."""
    if not isinstance(spec, (list, tuple)) or not spec:
        return ""
    config = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    options = spec[0] if isinstance(spec[0], (list, tuple)) else config.get("options")
    marks = {one for one in options or () if isinstance(one, str) and one.startswith(_MARK)}
    return marks.pop()[len(_MARK) :] if len(marks) == 1 else ""


def _current_name(folder_paths: Any, folder: str) -> str:
    """The name of a folder that may be called by an older name."""
    current = getattr(folder_paths, "map_legacy", None)
    return str(current(folder)) if callable(current) else folder
