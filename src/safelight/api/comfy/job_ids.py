"""Job ids in request bodies that name many jobs."""

from collections.abc import Iterator, Sequence

from safelight.core.errors import Invalid

MOST_AT_ONCE = 10_000
"""Ids in one request; lists of jobs and histories have at most this many entries, too."""
PIECE = 500
"""Jobs that one transaction changes, so that it delays other writes by milliseconds only."""


def in_pieces(job_ids: Sequence[str]) -> Iterator[list[str]]:
    """Split the ids into lists of at most :data:`PIECE`. Raises :class:`Invalid` for more than :data:`MOST_AT_ONCE`."""
    if len(job_ids) > MOST_AT_ONCE:
        raise Invalid(f"{len(job_ids)} job ids are too many for one request (at most {MOST_AT_ONCE})")
    for start in range(0, len(job_ids), PIECE):
        yield [*job_ids[start : start + PIECE]]
