"""Removes, on a schedule, what is old and the bytes that nothing refers to, and makes backups. The server that leads
does this."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from safelight.blobs.store import BlobStore
from safelight.core.clock import Clock
from safelight.core.errors import SafelightError, Unavailable
from safelight.core.ids import UserId
from safelight.core.retention import Amount, Kind, Retention
from safelight.db.engine import Database
from safelight.services import audit, blob_check, scheduled_backup
from safelight.services import retention as retentions
from safelight.services.maintenance_lock import maintenance_lock
from safelight.services.scheduled_backup import BackupPlan, MadeBackup

log = logging.getLogger(__name__)

_AT_ONCE = 100
"""Rows of one transaction, so that no other write waits for long."""
_PROTECTED = timedelta(hours=1)
"""Bytes that were stored within this time stay: an upload may be about to refer to them."""
_FIRST_S = 60.0
"""After the start: it has enough to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """``removed``: by kind; ``freed``: blobs without a row, ``None`` if they were not collected; ``backup``: if one was
    due; ``error``: why the run ended early."""

    at: datetime
    removed: dict[Kind, Amount] = field(default_factory=dict)
    freed: Amount | None = None
    backup: MadeBackup | None = None
    error: str = ""


class Housekeeping:
    """Mutable: the last report, and the task that works while this server leads."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        clock: Clock,
        *,
        retention: Retention,
        every_s: float,
        data_dir: Path,
        database: str,
        plan: BackupPlan | None = None,
        keep_audit_s: float = 0.0,
    ) -> None:
        """``every_s``: between two runs; 0: only on request. ``database``: its URL. ``plan``: of backups, if the server
        makes any."""
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self.retention = retention
        self.every_s = every_s
        self._data_dir = data_dir
        self._database = database
        self.plan = plan
        self._keep_audit_s = keep_audit_s
        self._running = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.last: Report | None = None

    def start(self) -> None:
        if self.every_s:
            self._task = self._task or asyncio.create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run_once(self) -> Report:
        """Remove what is due now, then the bytes that nothing refers to. Two requests run one after the other."""
        async with self._running:
            report = Report(self._clock.now())
            try:
                for owner in await self._db.read(retentions.owners):
                    for kind in Kind:
                        removed = await self._remove(owner, kind, now=report.at)
                        report.removed[kind] = report.removed.get(kind, Amount()) + removed
                keep_s = self._keep_audit_s
                await self._db.write(lambda tx: audit.remove_old(tx, keep_s=keep_s, now=report.at), is_durable=False)
                freed = await self._free(before=report.at - _PROTECTED)
                report = replace(report, freed=freed)
                report = replace(report, backup=await self._back_up(now=report.at))
            except (SafelightError, OSError) as error:
                log.warning("housekeeping stopped early: %s", error)
                report = replace(report, error=str(error))
            self.last = report
            _log(report)
            return report

    async def _remove(self, owner: UserId, kind: Kind, *, now: datetime) -> Amount:
        total = Amount()
        while True:
            removed = await self._db.write(
                lambda tx: retentions.remove(tx, owner, kind=kind, retention=self.retention, at_most=_AT_ONCE, now=now),
                is_durable=False,
            )
            total += removed
            if removed.count < _AT_ONCE:
                return total

    async def _free(self, *, before: datetime) -> Amount | None:
        try:
            async with maintenance_lock(self._data_dir, database=self._database):
                collected = await blob_check.collect(self._db, self._blobs, before=before)
        except Unavailable as error:
            log.info("unused bytes are not collected now: %s", error)
            return None
        return Amount(collected.blobs, collected.size)

    async def _back_up(self, *, now: datetime) -> MadeBackup | None:
        """Make the backup that is due, if one is. Raises what making one raises: it is no run without it."""
        if self.plan is None or not await asyncio.to_thread(scheduled_backup.is_due, self.plan, now=now):
            return None
        async with maintenance_lock(self._data_dir, database=self._database):
            made = await scheduled_backup.make(self.plan, self._database, self._blobs, now=now)
        log.info("made the backup %s: %d blobs", made.folder, made.manifest.blobs)
        if made.manifest.lost:
            log.error("the backup %s lacks %d blobs that are damaged or missing", made.folder, len(made.manifest.lost))
        return made

    async def _run(self) -> None:
        await asyncio.sleep(min(_FIRST_S, self.every_s))
        while True:
            try:
                await self.run_once()
            except Exception:  # a boundary: the next run may succeed
                log.exception("housekeeping failed")
            await asyncio.sleep(self.every_s)


def _log(report: Report) -> None:
    removed = ", ".join(f"{amount.count} {kind}" for kind, amount in report.removed.items() if amount.count)
    freed = report.freed.size if report.freed else 0
    if removed or freed:
        log.info("housekeeping removed %s, and freed %d bytes", removed or "nothing that is old", freed)
