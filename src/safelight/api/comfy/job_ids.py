"""Ids of jobs as clients send them, in bodies that name many."""

from collections.abc import Iterator, Sequence

from safelight.core.errors import Invalid

MOST_AT_ONCE = 10_000
"""Ids in one request. A list of jobs or a history has no more entries either."""
PIECE = 500
"""Jobs that one transaction changes, so that the writes of others wait for milliseconds."""


def in_pieces(job_ids: Sequence[str]) -> Iterator[list[str]]:
    """Raises :class:`Invalid` for more than 10,000."""
    if len(job_ids) > MOST_AT_ONCE:
        raise Invalid(f"{len(job_ids)} job ids are too many for one request (at most {MOST_AT_ONCE})")
    for start in range(0, len(job_ids), PIECE):
        yield [*job_ids[start : start + PIECE]]
