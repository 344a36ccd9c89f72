"""The kept log of a job: read by its owner and by administrators."""

from collections.abc import Sequence

from safelight.core.errors import Forbidden
from safelight.core.ids import UserId
from safelight.core.kept_log import KeptLog, Line
from safelight.core.user import Principal
from safelight.db import job_log as rows
from safelight.db.transaction import Transaction
from safelight.services import job as jobs


def read(tx: Transaction, who: Principal, *, job_id: str) -> KeptLog | None:
    """The log of the caller's job; ``None`` if it has logged nothing."""
    return rows.find(tx.conn, who.user_id, job_id=job_id)


def read_any(tx: Transaction, who: Principal, *, owner_id: UserId, job_id: str) -> KeptLog:
    """The log of any user's job, for administrators. Raises :class:`Forbidden` and :class:`NotFound`."""
    if not who.is_admin:
        raise Forbidden("only administrators may see the logs of all users' jobs")
    job = jobs.get(tx, Principal(owner_id), job_id=job_id)
    return rows.find(tx.conn, owner_id, job_id=job.summary.shown_id) or KeptLog()


def append(tx: Transaction, owner_id: UserId, *, job_id: str, log: KeptLog) -> None:
    """Add lines. Nothing happens if the job is gone."""
    rows.append(tx.conn, owner_id, job_id=job_id, log=log)


def latest(tx: Transaction, *, at_most: int) -> Sequence[tuple[UserId, Line]]:
    """The lines of the ``at_most`` newest jobs that have any, with the jobs' owners, in the order of time."""
    lines = [(owner, line) for owner, some in rows.latest(tx.conn, at_most=at_most) for line in some]
    return sorted(lines, key=lambda owned: owned[1][0])
