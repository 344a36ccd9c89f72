"""The port through which a job's files reach its engine, and its outputs reach the store.

Two implementations: folders that the server and the engine share (``shared.py``), and copies that the engine's machine
makes between its own disk and the store (``copied.py``, ``transfer.py``).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from safelight.core.asset import Asset
from safelight.core.errors import SafelightError
from safelight.core.worker import SlotId
from safelight.services.named_files import NewFile
from safelight.wire.messages import FileRef, SavedFile

VALIDATION_FETCH_S = 5.0
"""Longest wait of a submit for files that must be fetched; its inputs are then validated by the run."""


class FileTransport(Protocol):
    """``staging``: the output folder of an attempt; ``None`` for a validation, and where the engine's machine makes
    it."""

    async def fetch(
        self,
        files: Mapping[str, Asset],
        inputs: ExitStack,
        *,
        slot: SlotId,
        staging: Path | None,
        retry: bool = True,
    ) -> dict[str, FileRef]:
        """The files as the slot's engine finds them. They stay until ``inputs`` is closed. A file whose bytes are gone
        is left out: its node reports that. ``retry``: whether to wait for a store that is unreachable."""
        ...

    async def store(
        self, saved: Sequence[SavedFile], *, staging: Path | None, is_wanted: Callable[[], bool], may_be_stored: bool
    ) -> list[NewFile]:
        """Move files that an engine saved into the store. ``may_be_stored``: an earlier server may have done so.

        Raises :class:`~safelight.core.errors.Invalid` for a report that cannot be true."""
        ...

    async def begin(self, slot: SlotId) -> Path | None:
        """Make the output folder of an attempt; ``None`` where the engine's machine makes it."""
        ...

    def reattach(self, staging: str) -> Path | None:
        """The output folder of an attempt that an earlier server began. Raises
        :class:`~safelight.core.errors.Invalid` for any other folder."""
        ...

    async def end(self, staging: Path | None) -> None:
        """The attempt has ended by itself."""
        ...

    async def discard(self, staging: Path | None) -> None:
        """The attempt was lost. If its engine still runs, it must not write where another attempt does."""
        ...

    def scan(self) -> None:
        """Find the folders that an earlier server left. Blocks. Called before all other methods."""
        ...

    def sweep(self) -> None:
        """Remove the folders that were left and that no attempt uses. Blocks."""
        ...


async def fetch_for_validation(
    transport: FileTransport, files: Mapping[str, Asset], inputs: ExitStack, *, slot: SlotId
) -> dict[str, FileRef] | None:
    """The files for a validation that a client waits for; ``None`` if they cannot be fetched in time."""
    fetching = transport.fetch(files, inputs, slot=slot, staging=None, retry=False)
    with suppress(TimeoutError, SafelightError):
        return await asyncio.wait_for(fetching, VALIDATION_FETCH_S)
    return None
