"""Jobs from rows: the columns of a summary, and whole jobs put together from their tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Row, bindparam, select

from safelight.core.event import NodeCall
from safelight.core.job import Job
from safelight.core.output import Output, by_node, meta_by_node
from safelight.db.job_columns import COLUMNS, summary_of
from safelight.db.tables import job, job_output, job_payload, job_timeline

SUMMARY: tuple[ColumnElement[Any], ...] = (job.c.seq, *(job.c[column.name] for column in COLUMNS))
_SEQS: BindParameter[Any] = bindparam("seqs", expanding=True)
_PAYLOADS = select(job_payload.c.job_seq, job_payload.c.prompt, job_payload.c.targets, job_payload.c.extra_data).where(
    job_payload.c.job_seq.in_(_SEQS)
)
_OUTPUTS = (
    select(job_output.c.job_seq, job_output.c.attempt, job_output.c.call, job_output.c.ui)
    .where(job_output.c.job_seq.in_(_SEQS))
    .order_by(job_output.c.position)
)
_TIMELINES = select(job_timeline.c.job_seq, job_timeline.c.messages).where(job_timeline.c.job_seq.in_(_SEQS))
_CHUNK = 500


def complete(conn: Connection, rows: Sequence[Row[Any]]) -> list[Job]:
    """Whole jobs for rows of ``SUMMARY``, in the same order. Outputs are read only for jobs that have ended."""
    jobs: list[Job] = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        payloads = _payloads(conn, [row.seq for row in chunk])
        ended = [row.seq for row in chunk if row.ended_at is not None]
        outputs = _outputs(conn, ended)
        timelines = _timelines(conn, ended)
        for row in chunk:
            prompt, targets, extra_data = payloads[row.seq]
            own = [output for attempt, output in outputs.get(row.seq, ()) if attempt == row.attempt]
            jobs.append(
                Job(
                    summary=summary_of(row),
                    prompt=prompt,
                    targets=targets,
                    extra_data=extra_data,
                    outputs=by_node(own),
                    meta=meta_by_node(own),
                    messages=timelines.get(row.seq, ()),
                )
            )
    return jobs


def call_fields(call: NodeCall) -> list[str | None]:
    return [call.id, call.display_id, call.parent_id, call.real_id]


def _payloads(conn: Connection, seqs: Sequence[int]) -> dict[int, tuple[Any, Any, Any]]:
    return {seq: (prompt, targets, extra) for seq, prompt, targets, extra in conn.execute(_PAYLOADS, {"seqs": seqs})}


def _outputs(conn: Connection, seqs: Sequence[int]) -> dict[int, list[tuple[int, Output]]]:
    found: dict[int, list[tuple[int, Output]]] = {}
    if seqs:
        for seq, attempt, call, ui in conn.execute(_OUTPUTS, {"seqs": seqs}):
            found.setdefault(seq, []).append((attempt, (NodeCall(*call), ui)))
    return found


def _timelines(conn: Connection, seqs: Sequence[int]) -> dict[int, Sequence[tuple[str, Mapping[str, Any]]]]:
    rows = conn.execute(_TIMELINES, {"seqs": seqs}) if seqs else ()
    return {seq: [(name, data) for name, data in messages] for seq, messages in rows}
