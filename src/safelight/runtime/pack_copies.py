"""Node packs are imported from a copy that is made when the process starts, so that no pack can change its own code.

Many packs write files beside their code: settings, caches, user data. They may do so in the copy, which only the
engines of this slot write to. The code that runs is always the operator's: only *data files*, by their suffix, that a
pack has made or changed are carried over from an earlier copy; never a file that could be imported, executed or
unpickled.
"""

import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

DATA_SUFFIXES = frozenset(
    {".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".txt", ".csv", ".tsv", ".md", ".log"}
    | {".db", ".sqlite", ".sqlite3", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".wav", ".mp3", ".flac", ".mp4"}
    | {".safetensors", ".gguf"}
)
MAX_COPIED_BYTES = 4 * 1024 * 1024
"""A larger file of a pack is linked instead of copied; it cannot be changed through the link."""
_LEFT_OUT = frozenset({".git", "__pycache__", ".venv", "node_modules"})
_MANIFEST = ".copied.json"


class PackCopies:
    """The folders of packs, and their copies: ``folders[i]`` is imported instead of ``sources[i]``."""

    def __init__(self, sources: Sequence[Path], folders: Sequence[Path]) -> None:
        self.sources = sources
        self.folders = folders

    def original(self, path: str) -> str:
        """Return the source of a file in a copy; any other path is returned unchanged."""
        for source, folder in zip(self.sources, self.folders, strict=True):
            if (place := Path(path)).is_relative_to(folder):
                return str(source / place.relative_to(folder))
        return path


def copy_packs(sources: Sequence[Path], *, to: Path | None, in_place: Collection[str]) -> PackCopies:
    """Copy each folder of packs into ``to``, this slot's own folder; with ``None``, use the folders in place. Packs
    named in ``in_place`` are linked. If a copy fails, for example on a full disk, the folder itself is used,
    read-only."""
    if to is None:
        return PackCopies(sources, sources)
    folders = []
    for index, source in enumerate(sources):
        folder = to / str(index) / "custom_nodes"
        try:
            _renew(source, folder, in_place=in_place)
        except OSError as error:
            log.warning("using the node packs of %s in place, because they cannot be copied: %s", source, error)
            folder = source
        folders.append(folder)
    return PackCopies(sources, folders)


def _renew(source: Path, folder: Path, *, in_place: Collection[str]) -> None:
    old = folder.with_name("old")
    manifest = folder.with_name(_MANIFEST)
    if (
        folder.is_dir() and not folder.is_symlink() and not old.exists()
    ):  # otherwise an earlier start was interrupted here
        folder.rename(old)
    else:
        _remove(folder)
    folder.mkdir(parents=True)
    copied = dict(_copy_tree(source, folder, in_place=in_place))
    if old.is_dir() and not old.is_symlink():
        _take_data(old, folder, since=_read(manifest))
    _remove(old)
    manifest.write_text(json.dumps(copied))


def _copy_tree(source: Path, folder: Path, *, in_place: Collection[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield the path of each copied file, relative to ``folder``, with its time and size."""
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if entry.name in in_place or entry.name.removesuffix(".py") in in_place:
            (folder / entry.name).symlink_to(entry.path)
            continue
        yield from _copy(Path(entry.path), folder / entry.name, folder, seen=())


def _copy(path: Path, copy: Path, top: Path, *, seen: tuple[str, ...]) -> Iterator[tuple[str, list[int]]]:
    """Follows links, as a pack may be one, but not in a cycle."""
    if path.is_dir():
        real = os.path.realpath(path)
        if path.name in _LEFT_OUT or real in seen:
            return
        copy.mkdir()
        for entry in sorted(path.iterdir()):
            yield from _copy(entry, copy / entry.name, top, seen=(*seen, real))
    elif path.is_file():
        if path.stat().st_size > MAX_COPIED_BYTES:
            copy.symlink_to(path)
            return
        shutil.copy2(path, copy)
        copy.chmod(copy.stat().st_mode | 0o200)  # the pack may be read-only; its copy must be writable
        yield copy.relative_to(top).as_posix(), _stamp(copy)


def _take_data(old: Path, folder: Path, *, since: Mapping[str, list[int]]) -> None:
    """Carry over data files that were made or changed in an earlier copy (``since``: its times and sizes), for packs
    that still exist. Does not follow links."""
    for where, folders, names in os.walk(old):
        place = folder / Path(where).relative_to(old)
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not (place / name).is_symlink()]
        if Path(where) == old:
            folders[:] = [name for name in folders if (folder / name).is_dir()]
        for name in names:
            path = Path(where, name)
            if path.suffix.lower() not in DATA_SUFFIXES or path.is_symlink() or not path.is_file():
                continue
            if since.get(path.relative_to(old).as_posix()) == _stamp(path):
                continue
            target = place / name
            if target.is_dir() or not _make_way(place, folder):
                continue
            target.unlink(missing_ok=True)
            path.rename(target)
            target.chmod(0o600)


def _make_way(place: Path, top: Path) -> bool:
    """Make ``place`` a folder of the copy if it is not; return whether it is one."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return place.resolve().is_relative_to(top.resolve())


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_mtime_ns, status.st_size]


def _read(manifest: Path) -> Mapping[str, list[int]]:
    try:
        found = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.chmod(0o700)
        for where, folders, _ in os.walk(path):
            for name in folders:
                if not (inner := Path(where, name)).is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(path)
