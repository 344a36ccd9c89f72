"""Removes old files, jobs and logs that their owners do not keep.

A file is kept that has the tag ``keep``, that a saved workflow uses, or that a waiting or running job names. The bytes
of a removed file are freed by the next collection (``services/blob_check.py``), unless another file or a publication
has them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from safelight.core.asset import Folder
from safelight.core.event import FilesChanged
from safelight.core.ids import UserId
from safelight.core.retention import Amount, Kind, Retention
from safelight.core.user import Principal
from safelight.db import job_log
from safelight.db import retention as rows
from safelight.db.transaction import Transaction
from safelight.services import job as jobs

_SPARED = (Kind.OUTPUTS, Kind.HISTORY)
_MOMENT = timedelta(milliseconds=1)
"""The precision of times in the database."""
_FOLDERS = {Kind.PREVIEWS: Folder.TEMP, Kind.OUTPUTS: Folder.OUTPUT}


def due(tx: Transaction, *, retention: Retention, now: datetime) -> Mapping[Kind, Amount]:
    """What :func:`remove` would remove now, of all users."""
    return {kind: sum((_due(tx, owner, kind, retention, now) for owner in owners(tx)), Amount()) for kind in Kind}


def owners(tx: Transaction) -> list[UserId]:
    """The users whose files and jobs may be old."""
    return rows.owners(tx.conn)


def remove(tx: Transaction, owner: UserId, *, kind: Kind, retention: Retention, at_most: int, now: datetime) -> Amount:
    """Remove up to ``at_most`` of the owner's old files, jobs or logs, the oldest first."""
    cutoff = _cutoff(tx, owner, kind, retention, now)
    if cutoff is None:
        return Amount()
    if kind is Kind.HISTORY:
        return Amount(jobs.forget_all(tx, Principal(owner), at_most=at_most, now=cutoff - _MOMENT))
    if kind is Kind.LOGS:
        return Amount(*job_log.remove_old(tx.conn, owner, before=cutoff, at_most=at_most))
    removed = rows.remove_old_files(tx.conn, owner, folder=_FOLDERS[kind], before=cutoff, at_most=at_most)
    if removed.count:
        tx.emit(FilesChanged(owner))
    return removed


def _cutoff(tx: Transaction, owner: UserId, kind: Kind, retention: Retention, now: datetime) -> datetime | None:
    """What is older than this is removed, of that owner; ``None``: nothing is."""
    if kind in _SPARED and retention.spares_admins and rows.is_admin(tx.conn, owner):
        return None
    by_age = retention.cutoff(kind, now)
    if kind is not Kind.HISTORY or not retention.most_jobs:
        return by_age
    end = rows.end_of_job(tx.conn, owner, newest=retention.most_jobs)
    cutoffs = [cutoff for cutoff in (by_age, end + _MOMENT if end is not None else None) if cutoff is not None]
    return max(cutoffs, default=None)


def _due(tx: Transaction, owner: UserId, kind: Kind, retention: Retention, now: datetime) -> Amount:
    cutoff = _cutoff(tx, owner, kind, retention, now)
    if cutoff is None:
        return Amount()
    if kind is Kind.HISTORY:
        return rows.old_jobs(tx.conn, owner, before=cutoff)
    if kind is Kind.LOGS:
        return Amount(*job_log.old(tx.conn, owner, before=cutoff))
    return rows.old_files(tx.conn, owner, folder=_FOLDERS[kind], before=cutoff)
