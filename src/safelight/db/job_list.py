"""A page of a user's jobs by state, workflow and kind of output. Every combination reads along an index and never sorts
all jobs of a user: the newest page must cost the same with ten jobs and with a million.
"""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, bindparam, func, select, union_all

from safelight.core.ids import UserId
from safelight.core.job import JobState, JobSummary
from safelight.core.paging import Page, PageRequest
from safelight.db.job_columns import summary_of
from safelight.db.job_rows import SUMMARY
from safelight.db.tables import IS_INTERRUPTED, job, job_media

_OWNED = job.c.owner_id == bindparam("owner")


def page(
    conn: Connection,
    owner_id: UserId,
    *,
    states: Collection[JobState],
    workflow_id: str | None,
    output_type: str | None,
    has_begun: bool,
    by_duration: bool,
    descending: bool,
    request: PageRequest,
) -> Page[JobSummary]:
    """``states``: empty for all. ``has_begun``: leave out jobs that were cancelled before they began. Jobs without a
    duration sort as the shortest."""
    some = tuple(sorted({state.value for state in states})) if 0 < len(set(states)) < len(JobState) else ()
    found, total = _statements(
        some,
        of_workflow=workflow_id is not None,
        of_kind=output_type is not None,
        has_begun=has_begun,
        by_duration=by_duration,
        descending=descending,
    )
    filters = {"owner": owner_id, "workflow": workflow_id, "kind": output_type}
    window = {"limit": request.limit, "offset": request.offset, "enough": request.offset + request.limit}
    items = [summary_of(row) for row in conn.execute(found, filters | window)]
    return Page(items, conn.execute(total, filters).scalar_one(), request)


@lru_cache(maxsize=512)
def _statements(
    states: tuple[str, ...],
    *,
    of_workflow: bool,
    of_kind: bool,
    has_begun: bool,
    by_duration: bool,
    descending: bool,
) -> tuple[Select[Any], Select[Any]]:
    """The statements of the page and of the count. Cached: building them costs as much as running them."""
    state = _unindexed(job.c.state) if of_workflow or of_kind else job.c.state
    where: list[ColumnElement[bool]] = [state.in_(states)] if states else []
    if has_begun:
        where.append((state != JobState.CANCELLED.value) | job.c.started_at.is_not(None))
    if of_workflow:
        where += [_OWNED, job.c.workflow_id == bindparam("workflow")]
    elif not of_kind:
        where.append(_OWNED)
    seq = job_media.c.job_seq if of_kind and not of_workflow else job.c.seq
    key = [job.c.duration_ms, seq] if by_duration else [seq]
    order = [column.desc() if descending else column.asc() for column in key]

    total = _of_kind(select(func.count()), of_kind, is_whole=not where).where(*where)
    if states and not (of_workflow or of_kind or by_duration):
        found = _heads_of_each(states, order[0], has_begun=has_begun)
    else:
        found = _of_kind(select(*SUMMARY), of_kind).where(*where)
    return found.order_by(*order).limit(bindparam("limit")).offset(bindparam("offset")), total


def _of_kind(query: Select[Any], of_kind: bool, *, is_whole: bool = False) -> Select[Any]:
    """``is_whole``: there is no other condition on the jobs."""
    if not of_kind:
        return query.select_from(job)
    media = job_media if is_whole else job_media.join(job, job.c.seq == job_media.c.job_seq)
    return query.select_from(media).where(
        job_media.c.owner_id == bindparam("owner"), job_media.c.kind == bindparam("kind")
    )


def _unindexed(column: Column[str]) -> ColumnElement[str]:
    """The column in a form that no index serves. The other conditions match far fewer rows, which a planner without
    statistics cannot know."""
    return func.coalesce(column, "")


def _heads_of_each(states: tuple[str, ...], order: ColumnElement[Any], *, has_begun: bool) -> Select[Any]:
    """The first rows of each state by index ``(owner_id, state, seq)``; one IN over all states would need a sort."""
    heads = [
        select(job.c.seq)
        .where(_OWNED, IS_INTERRUPTED if has_begun and state == JobState.CANCELLED.value else job.c.state == state)
        .order_by(order)
        .limit(bindparam("enough"))
        .subquery()
        for state in states
    ]
    seqs = union_all(*(select(head.c.seq) for head in heads)).subquery()
    return select(*SUMMARY).where(job.c.seq.in_(select(seqs.c.seq)))
