"""Model folders as packs see them: a table that they can read and extend, and the files in its folders.

The roots come from the engine's configuration; a pack can add folders (``add_model_folder_path``).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safelight.core.model_folders import MODEL_FOLDERS, OTHER_NAMES, ExtraPlace, canonical, places_of, with_slashes

Entry = tuple[list[str], Any]
"""Folders, and the extensions of the files in them that are listed (none: all files)."""


class FolderTable(dict[str, Entry]):
    """Mutable, as packs add entries. Old names are aliases of the new ones."""

    def __missing__(self, name: str) -> Entry:
        other = OTHER_NAMES.get(name)
        if other is None:
            raise KeyError(name)
        return self[other]

    def add(self, name: str, path: str, *, is_default: bool = False) -> None:
        name = canonical(name)
        places, _ = self.setdefault(name, ([], set()))
        if path in places:
            places.remove(path)
        places.insert(0 if is_default else len(places), path)


class FileList(list[Any]):
    """The files of a model folder. As the choices of a combo it carries its folder (``model_folder``), so that the
    server lists new files without a restart; ``own``: choices that a pack added before or after them."""

    def __init__(self, files: Sequence[Any], folder: str, own: Sequence[Any] = ()) -> None:
        super().__init__(files)
        self.model_folder = folder
        self.own = list(own)

    def __radd__(self, before: list[Any]) -> "FileList":
        return FileList([*before, *self], self.model_folder, [*before, *self.own])

    def __add__(self, after: list[Any]) -> "FileList":
        return FileList([*self, *after], self.model_folder, [*self.own, *after])


def table(roots: Sequence[Path], own: Path, extra: Sequence[ExtraPlace] = ()) -> FolderTable:
    """Return the table. ``own``: the root to use if the operator configured none."""
    folders = FolderTable()
    for name, folder in MODEL_FOLDERS.items():
        paths = [str(place) for place in places_of(name, roots or [own], extra)]
        folders[name] = (paths, set(folder.extensions))
    for place in extra:
        if canonical(place.folder) not in MODEL_FOLDERS:  # a pack's own
            folders.add(place.folder, str(place.path), is_default=place.is_default)
    return folders


def files_of(folders: FolderTable, name: str) -> list[Any]:
    """Return the names of the files, relative to their folder. Raises :class:`KeyError` for an unknown folder."""
    places, extensions = folders[name]
    found = sorted({file for place in places for file in _walk(place, extensions)})
    name = canonical(name)
    return FileList(found, name) if name in MODEL_FOLDERS else found


def find(folders: FolderTable, name: str, file: str) -> str | None:
    """Return the path of a file in a folder; ``None`` if it does not exist or would be outside the folder."""
    if name not in folders and canonical(name) not in folders:
        return None
    for place in folders[name][0]:
        path = os.path.normpath(os.path.join(place, with_slashes(file).lstrip("/")))
        if os.path.commonpath((place, path)) == os.path.normpath(place) and os.path.exists(path):
            return path
    return None


def _walk(place: str, extensions: Any) -> Iterator[str]:
    wanted = {e.lower() for e in extensions}
    for where, subfolders, names in os.walk(place, followlinks=True):
        subfolders[:] = [s for s in subfolders if s != ".git"]
        if "folder" in wanted:
            yield from (os.path.relpath(os.path.join(where, s), place) for s in subfolders)
            continue
        for name in names:
            if not wanted or os.path.splitext(name)[1].lower() in wanted:
                yield os.path.relpath(os.path.join(where, name), place)
