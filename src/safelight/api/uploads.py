"""How many uploads a user may have under way at once: each holds a connection, a file and room on the disk."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from safelight.core.ids import UserId
from safelight.core.user import QuotaReached

MOST_AT_ONCE = 16


class TooManyUploads(QuotaReached):
    code = "too_many_uploads"


class Uploads:
    """Mutable: what is under way, by user."""

    def __init__(self) -> None:
        self._under_way: Counter[UserId] = Counter()

    @contextmanager
    def one(self, owner_id: UserId) -> Iterator[None]:
        """Raises :class:`TooManyUploads`."""
        if self._under_way[owner_id] >= MOST_AT_ONCE:
            raise TooManyUploads(f"{MOST_AT_ONCE} uploads of yours are under way; wait for one", retry_after_s=5)
        self._under_way[owner_id] += 1
        try:
            yield
        finally:
            self._under_way[owner_id] -= 1
            if not self._under_way[owner_id]:
                del self._under_way[owner_id]
