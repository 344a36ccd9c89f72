"""A limit on a user's concurrent uploads: each takes a connection, an open file and disk space."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from safelight.core.ids import UserId
from safelight.core.user import QuotaReached

MOST_AT_ONCE = 16


class TooManyUploads(QuotaReached):
    code = "too_many_uploads"


class Uploads:
    """Mutable: the number of running uploads by user."""

    def __init__(self) -> None:
        self._in_progress: Counter[UserId] = Counter()

    @contextmanager
    def counted(self, owner_id: UserId) -> Iterator[None]:
        """Count an upload while the context is open. Raises :class:`TooManyUploads`."""
        if self._in_progress[owner_id] >= MOST_AT_ONCE:
            message = f"you already have {MOST_AT_ONCE} uploads in progress; wait for one to finish"
            raise TooManyUploads(message, retry_after_s=5)
        self._in_progress[owner_id] += 1
        try:
            yield
        finally:
            self._in_progress[owner_id] -= 1
            if not self._in_progress[owner_id]:
                del self._in_progress[owner_id]
