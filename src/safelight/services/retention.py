"""Removes old files, jobs and logs that their owners do not keep.

A file is kept that has the tag ``keep``, that a saved workflow uses, or that a waiting or running job names. The bytes
of a removed file are freed by the next collection (``services/blob_check.py``), unless another file or a publication
has them.
"""

from collections.abc import Mapping
from datetime import datetime

from safelight.core.asset import Folder
from safelight.core.event import FilesChanged
from safelight.core.ids import UserId
from safelight.core.retention import Amount, Kind, Retention
from safelight.core.user import Principal
from safelight.db import job_log
from safelight.db import retention as rows
from safelight.db.transaction import Transaction
from safelight.services import job as jobs

_FOLDERS = {Kind.PREVIEWS: Folder.TEMP, Kind.OUTPUTS: Folder.OUTPUT}


def due(tx: Transaction, *, retention: Retention, now: datetime) -> Mapping[Kind, Amount]:
    """What :func:`remove` would remove now, of all users."""
    return {kind: sum((_due(tx, owner, kind, retention, now) for owner in owners(tx)), Amount()) for kind in Kind}


def owners(tx: Transaction) -> list[UserId]:
    """The users whose files and jobs may be old."""
    return rows.owners(tx.conn)


def remove(tx: Transaction, owner: UserId, *, kind: Kind, retention: Retention, at_most: int, now: datetime) -> Amount:
    """Remove up to ``at_most`` of the owner's old files, jobs or logs, the oldest first."""
    cutoff = retention.cutoff(kind, now)
    if cutoff is None:
        return Amount()
    if kind is Kind.HISTORY:
        return Amount(jobs.forget_all(tx, Principal(owner), at_most=at_most, now=cutoff))
    if kind is Kind.LOGS:
        return Amount(*job_log.remove_old(tx.conn, owner, before=cutoff, at_most=at_most))
    removed = rows.remove_old_files(tx.conn, owner, folder=_FOLDERS[kind], before=cutoff, at_most=at_most)
    if removed.count:
        tx.emit(FilesChanged(owner))
    return removed


def _due(tx: Transaction, owner: UserId, kind: Kind, retention: Retention, now: datetime) -> Amount:
    cutoff = retention.cutoff(kind, now)
    if cutoff is None:
        return Amount()
    if kind is Kind.HISTORY:
        return rows.old_jobs(tx.conn, owner, before=cutoff)
    if kind is Kind.LOGS:
        return Amount(*job_log.old(tx.conn, owner, before=cutoff))
    return rows.old_files(tx.conn, owner, folder=_FOLDERS[kind], before=cutoff)
