"""Removes what has expired, assets with a lifetime and idempotency keys, and renews quotas. The server that leads does
this."""

import asyncio
import logging
from datetime import datetime

from safelight.core.clock import Clock
from safelight.core.errors import SafelightError
from safelight.core.event import FilesChanged
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import job_label
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import asset_library, idempotency
from safelight.services import user as users

log = logging.getLogger(__name__)

SWEEP_S = 30.0
_AT_ONCE = 200


def remove_expired(tx: Transaction, *, at_most: int, now: datetime) -> int:
    """Remove assets of all users whose time is over, and return their number. Those that a workflow, or a job that
    waits or runs, uses stay until it no longer does."""
    removed = 0
    for seq, asset in rows.expired(tx.conn, now=now, limit=at_most):
        who = Principal(asset.owner_id)
        if not asset_library.is_referenced(tx, who, asset_id=asset.id) and not job_label.is_held(
            tx.conn, asset.owner_id, asset_id=asset.id
        ):
            rows.remove(tx.conn, asset.owner_id, seq=seq, asset=asset)
            tx.emit(FilesChanged(asset.owner_id))
            removed += 1
    return removed


class Expiry:
    """Mutable: the task that sweeps while this server leads."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> int:
        """Remove up to 200 expired assets and all old keys, and return the number of assets."""
        now = self._clock.now()
        await self._db.write(lambda tx: idempotency.forget_old(tx, now=now), is_durable=False)
        await self._db.write(lambda tx: users.renew_due(tx, now=now))
        return await self._db.write(lambda tx: remove_expired(tx, at_most=_AT_ONCE, now=now))

    async def _run(self) -> None:
        while True:
            try:
                while await self.sweep() == _AT_ONCE:
                    pass
            except SafelightError as error:
                log.warning("expired assets could not be removed: %s", error)
            await asyncio.sleep(SWEEP_S)
