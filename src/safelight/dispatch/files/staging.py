"""Folders in which attempts write their outputs before the server takes them over. No user string is in their names.

Each slot has a folder of its own for them, the only one that its engines may write to.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from safelight.core.errors import Invalid
from safelight.core.worker import SlotId
from safelight.dispatch.backends.slot_dirs import make_own, own
from safelight.sandbox.rules import Account


class Staging:
    """Mutable: folders that were left empty, to be used again: to make and remove one costs more than a small job."""

    def __init__(self, root: Path, *, slots: Collection[SlotId] = (), account: Account | None = None) -> None:
        """``slots``: whose folders stay. ``account``: as whom the engines write, where it is not as the server."""
        self._root = root
        self._slots = slots
        self._account = account
        self._empty: dict[SlotId, list[Path]] = {}
        self._left: set[Path] = set()
        self._made: set[SlotId] = set()  # the slots' own folders, each made once: engines are bound to what was there

    def look(self) -> None:
        """Which folders an earlier server has left. Blocks; comes before all else."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._left = {Path(entry.path) for entry in os.scandir(self._root) if entry.name not in self._slots}
        for slot in self._slots:
            if (folder := self._root / slot).is_dir():
                self._left.update(Path(entry.path) for entry in os.scandir(folder))

    def take_over(self, path: Path) -> Path:
        """A folder that an earlier server made for an attempt that goes on. Raises :class:`Invalid` for any other."""
        if path not in self._left:
            raise Invalid(f"{path} is not the folder of an attempt")
        self._left.discard(path)
        return path

    def sweep(self) -> None:
        """Remove what was left and not taken over. Blocks."""
        while self._left:
            left = self._left.pop()
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def make(self, slot: SlotId) -> Path:
        """Raises :class:`OSError`."""
        empty = self._empty.get(slot, [])
        while empty:
            if (path := empty.pop()).is_dir():
                return path
        if slot not in self._made:
            make_own(self._root / slot, self._account)
            self._made.add(slot)
        path = self._root / slot / uuid.uuid4().hex
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            make_own(self._root / slot, self._account)  # for engines that start later: others may not write there
            raise
        own(path, self._account)
        return path

    async def give_back(self, path: Path) -> None:
        """The attempt has ended by itself. What it left is of no use to anybody."""
        try:
            with os.scandir(path) as left:
                is_empty = next(left, None) is None
        except FileNotFoundError:
            return
        if is_empty:
            self._empty.setdefault(SlotId(path.parent.name), []).append(path)
        else:
            await self.remove(path)

    async def remove(self, path: Path) -> None:
        """The attempt was lost: should something of it still run, it may not write where another attempt does."""
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
