"""Folders in which attempts write their outputs before the server takes them over. No user string is in their names."""

import asyncio
import os
import shutil
import uuid
from pathlib import Path

from safelight.core.errors import Invalid
from safelight.dispatch.rooms import own
from safelight.sandbox.rules import Account


class Staging:
    """Mutable: folders that were left empty, to be used again: to make and remove one costs more than a small job."""

    def __init__(self, root: Path, *, account: Account | None = None) -> None:
        """``account``: as whom the engines write, where it is not as the server."""
        self._root = root
        self._account = account
        self._empty: list[Path] = []
        self._left: set[Path] = set()

    def look(self) -> None:
        """Which folders an earlier server has left. Blocks; comes before all else."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._left = {Path(entry.path) for entry in os.scandir(self._root)}

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

    def make(self) -> Path:
        """Raises :class:`OSError`."""
        while self._empty:
            if (path := self._empty.pop()).is_dir():
                return path
        path = self._root / uuid.uuid4().hex
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            self._root.mkdir(parents=True, exist_ok=True)  # for engines that start later: others may not write there
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
            self._empty.append(path)
        else:
            await self.remove(path)

    async def remove(self, path: Path) -> None:
        """The attempt was lost: should something of it still run, it may not write where another attempt does."""
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
