"""Staging folders: attempts write their outputs here before the server moves them into the store.

No user string is part of their names. Each slot has a parent folder of its own for them, the only one that its engines
may write to.
"""

import asyncio
import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from safelight.core.clock import Clock
from safelight.core.errors import Invalid
from safelight.core.worker import SlotId
from safelight.dispatch.files.folders import make_private, set_owner
from safelight.sandbox.rules import Account

_FRESH_S = 1.0
"""For how long after an empty folder was checked one more look at it does not block, also on a network file system,
which keeps attributes for longer. A trip to a thread before each job costs more than the look."""


class Staging:
    """Mutable: folders that were left empty, for reuse: to make and remove one costs more than a small job.

    The root may be on a network file system, so that no method blocks the event loop on it.
    """

    def __init__(
        self, root: Path, clock: Clock, *, slots: Collection[SlotId] = (), account: Account | None = None
    ) -> None:
        """``slots``: those whose parent folders stay. ``account``: the account that the engines run as, if not the
        server's."""
        self._root = root
        self._clock = clock
        self._slots = slots
        self._account = account
        self._empty: dict[SlotId, list[tuple[Path, float]]] = {}  # each with the time when it was checked
        self._left: set[Path] = set()
        self._made: set[SlotId] = set()  # parent folders, each made once: engines are bound to the one they found

    def scan(self) -> None:
        """Find the folders that an earlier server left. Blocks. Called before all other methods."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._left = {Path(entry.path) for entry in os.scandir(self._root) if entry.name not in self._slots}
        for slot in self._slots:
            if (folder := self._root / slot).is_dir():
                self._left.update(Path(entry.path) for entry in os.scandir(folder))

    def take_over(self, path: Path) -> Path:
        """The folder of an attempt that an earlier server began. Raises :class:`Invalid` for any other path."""
        if path not in self._left:
            raise Invalid(f"{str(path)!r} is not the folder of an attempt")
        self._left.discard(path)
        return path

    def sweep(self) -> None:
        """Remove the folders that were left and not taken over. Blocks."""
        while self._left:
            left = self._left.pop()
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    async def make(self, slot: SlotId) -> Path:
        """An empty folder for an attempt. Raises :class:`OSError`."""
        empty = self._empty.get(slot)
        if empty and self._clock.monotonic_s() - empty[-1][1] < _FRESH_S:
            path = empty.pop()[0]
            if path.is_dir():
                return path
        making = asyncio.ensure_future(asyncio.to_thread(self._make, slot))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._reuse)
            raise

    async def give_back(self, path: Path) -> None:
        """The attempt has ended by itself. Keep its folder for the next one if it is empty; remove it otherwise."""
        match await asyncio.to_thread(_is_empty, path):
            case True:
                self._keep(path)
            case False:
                await self.remove(path)

    async def remove(self, path: Path) -> None:
        """The attempt was lost. If its engine still runs, it must not write where another attempt does."""
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    def _make(self, slot: SlotId) -> Path:
        empty = self._empty.get(slot, [])
        while empty:
            if (path := empty.pop()[0]).is_dir():
                return path
        if slot not in self._made:
            make_private(self._root / slot, self._account)
            self._made.add(slot)
        path = self._root / slot / uuid.uuid4().hex
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            make_private(self._root / slot, self._account)  # for engines that start later: running ones cannot use it
            raise
        set_owner(path, self._account)
        return path

    def _keep(self, path: Path) -> None:
        self._empty.setdefault(SlotId(path.parent.name), []).append((path, self._clock.monotonic_s()))

    def _reuse(self, making: "asyncio.Future[Path]") -> None:
        """The attempt was cancelled while its folder was made."""
        if not making.cancelled() and making.exception() is None:
            self._keep(making.result())


def _is_empty(path: Path) -> bool | None:
    """``None`` if there is no such folder."""
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return None
