"""A revision number for each user, incremented when the user's data changes; for the latest users only."""

from collections import OrderedDict

from safelight.core.ids import UserId

KEPT_USERS = 4096


class Revisions:
    """Mutable: the latest revisions by user, at most :data:`KEPT_USERS`.

    Revisions grow across all users, and a user who was dropped has the highest dropped revision. So a revision that was
    read before a change is never current again; at worst an unchanged user appears changed.
    """

    def __init__(self) -> None:
        self._latest: OrderedDict[UserId, int] = OrderedDict()
        self._count = 0
        self._dropped = 0

    def of(self, user: UserId) -> int:
        return self._latest.get(user, self._dropped)

    def increment(self, user: UserId) -> None:
        self._count += 1
        self._latest[user] = self._count
        self._latest.move_to_end(user)
        if len(self._latest) > KEPT_USERS:
            _, self._dropped = self._latest.popitem(last=False)
