"""Rows of one job as Comfy API v2 shows it: its summary, what it has made so far, its place in the queue."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select

from safelight.core.event import NodeCall
from safelight.core.ids import UserId, job_ids_shown_as
from safelight.core.job import JobSummary
from safelight.core.output import Output
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY
from safelight.db.tables import IS_QUEUED, job, job_output, job_payload

_OWNED = job.c.owner_id == bindparam("owner")
_ONE = select(*SUMMARY).where(_OWNED, job.c.id.in_((bindparam("id"), bindparam("own_id"))))
_OUTPUTS = (
    select(job_output.c.call, job_output.c.ui)
    .where(job_output.c.job_seq == bindparam("job"), job_output.c.attempt == bindparam("of"))
    .order_by(job_output.c.position)
)
_AHEAD = select(func.count()).where(
    _OWNED,
    IS_QUEUED,
    or_(
        job.c.number < bindparam("number"),
        (job.c.number == bindparam("number")) & (job.c.seq < bindparam("of_seq")),
    ),
)
_PROMPT = select(job_payload.c.prompt).where(job_payload.c.job_seq == bindparam("job"))


def find(conn: Connection, owner_id: UserId, *, job_id: str) -> tuple[int, JobSummary] | None:
    """The job that the owner knows by that id, with its row's number."""
    given, own = job_ids_shown_as(owner_id, job_id)
    row = conn.execute(_ONE, {"owner": owner_id, "id": given, "own_id": own}).first()
    return (row.seq, summary_of(row)) if row else None


def outputs(conn: Connection, seq: int, *, attempt: int) -> list[Output]:
    """The outputs that an attempt has stored, while it runs and afterwards."""
    return [(NodeCall(*call), ui) for call, ui in conn.execute(_OUTPUTS, {"job": seq, "of": attempt})]


def count_ahead(conn: Connection, owner_id: UserId, *, seq: int, number: float) -> int:
    """How many of the owner's queued jobs run before a queued job."""
    values = {"owner": owner_id, "number": number, "of_seq": seq}
    return conn.execute(_AHEAD, values).scalar_one()


def prompt(conn: Connection, seq: int) -> Mapping[str, Any]:
    """The graph of a job."""
    found: Mapping[str, Any] = conn.execute(_PROMPT, {"job": seq}).scalar_one()
    return found
