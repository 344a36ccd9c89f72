"""The model files on disk, by folder: what loaders offer in combos, and what ``/api/experiment/models`` lists.

Readers get the latest listing without waiting. :meth:`ModelFiles.refresh` updates it in a thread of its own, and lists
a folder again only when a directory in it has changed. It reads names, never the files.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safelight.core.errors import NotFound
from safelight.core.model_folders import MODEL_FOLDERS, ExtraPlace, canonical, places_of, with_slashes

REFRESH_S = 2.0
"""How often a server looks for changes on disk."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """``name``: relative to its ``folder``, with ``/``; ``path_index``: the number of the directory that contains it,
    among those of its folder."""

    name: str
    path_index: int
    path: Path
    folder: str = ""

    def size(self) -> int:
        """The current size in bytes; 0 for a file that was deleted."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class _Listing:
    files: Sequence[ModelFile] = ()
    stamps: Mapping[str, int] = field(default_factory=dict)
    by_name: Mapping[str, ModelFile] = field(default_factory=dict)


TINY_AUTOENCODERS = ("taesd", "taesdxl", "taesd3", "taef1")
"""Each consists of two files in ``vae_approx``, an encoder and a decoder."""


class ModelFiles:
    """Mutable: the listing of each folder, which ``refresh`` replaces. ``version`` is incremented on every change."""

    def __init__(self, roots: Sequence[Path], extra: Sequence[ExtraPlace] = ()) -> None:
        self._roots, self._extra = tuple(roots), tuple(extra)
        self._listings: dict[str, _Listing] = {name: _Listing() for name in MODEL_FOLDERS}
        self.version = 0

    def folders(self) -> Mapping[str, Sequence[Path]]:
        """Every known folder with its directories on disk, existing or not."""
        return {name: places_of(name, self._roots, self._extra) for name in MODEL_FOLDERS}

    def extensions(self, folder: str) -> Sequence[str]:
        return MODEL_FOLDERS[folder].extensions if folder in MODEL_FOLDERS else ()

    def files(self, folder: str) -> Sequence[ModelFile]:
        """The files of a folder by name; the first directory wins. Raises :class:`NotFound` for an unknown folder."""
        if folder not in MODEL_FOLDERS:
            raise NotFound(f"there is no model folder {folder!r}")
        return self._listings[folder].files

    def names(self, folder: str) -> list[str]:
        return [f.name for f in self._listings[folder].files] if folder in MODEL_FOLDERS else []

    def choices(self, folder: str, *, outside: Path | None = None) -> list[str]:
        """The names that a combo of the folder offers, without files below ``outside``. ``vae`` includes the tiny
        autoencoders of which both files exist."""
        names = self.names(folder)
        if outside is not None and folder in MODEL_FOLDERS:
            names = [f.name for f in self._listings[folder].files if not f.path.is_relative_to(outside)]
        if folder == "vae":
            halves = {Path(name).stem for name in self.names("vae_approx") if name.endswith(".safetensors")}
            names += [tiny for tiny in TINY_AUTOENCODERS if {f"{tiny}_encoder", f"{tiny}_decoder"} <= halves]
        return names

    def find(self, names: Collection[str]) -> dict[str, ModelFile]:
        """The files of those ``names`` that exist in any folder."""
        by_folder = [listing.by_name for listing in self._listings.values() if listing.by_name]
        found: dict[str, ModelFile] = {}
        for by_name in by_folder:
            found |= {name: file for name in names if (file := by_name.get(with_slashes(name))) is not None}
        return found

    def find_in(self, folder: str, name: str) -> ModelFile | None:
        """The file of that name in a folder."""
        listing = self._listings.get(canonical(folder))
        return listing.by_name.get(with_slashes(name)) if listing is not None else None

    def refresh(self) -> None:
        """Update the listings from the disk. Blocks while it walks the folders; one caller at a time."""
        for name, places in self.folders().items():
            before = self._listings[name]
            if before.stamps and _unchanged(before.stamps):
                continue
            after = _scan(name, places, MODEL_FOLDERS[name].extensions)
            self._listings[name] = after
            if [f.path for f in after.files] != [f.path for f in before.files]:
                self.version += 1


def _scan(folder: str, places: Iterable[Path], extensions: Sequence[str]) -> _Listing:
    found: dict[str, ModelFile] = {}
    stamps: dict[str, int] = {}
    for index, place in enumerate(places):
        for directory, subs, names in os.walk(place, followlinks=True):
            subs[:] = sorted(s for s in subs if not s.startswith("."))
            stamps[directory] = os.stat(directory).st_mtime_ns
            for name in subs if "folder" in extensions else names:
                if "folder" in extensions or "" in extensions or name.lower().endswith(tuple(extensions)):
                    path = Path(directory, name)
                    relative = path.relative_to(place).as_posix()
                    found.setdefault(relative, ModelFile(relative, index, path, folder))
            if len(Path(directory).relative_to(place).parts) >= 16:
                subs.clear()  # a link to a parent would be followed forever
        stamps.setdefault(str(place), 0)
    return _Listing(sorted(found.values(), key=lambda f: f.name.lower()), stamps, found)


def _unchanged(stamps: Mapping[str, int]) -> bool:
    for directory, stamp in stamps.items():
        try:
            if os.stat(directory).st_mtime_ns != stamp:
                return False
        except FileNotFoundError:
            if stamp != 0:
                return False
    return True
