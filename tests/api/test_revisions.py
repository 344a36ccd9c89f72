"""Revisions of more users than are kept."""

from safelight.api.comfy.revisions import KEPT_USERS, Revisions
from safelight.core.ids import UserId

ANNA = UserId("anna")


def test_a_revision_from_before_a_change_is_never_current_again() -> None:
    revisions = Revisions()
    seen = {revisions.of(ANNA)}
    for number in range(3):
        revisions.increment(ANNA)
        assert revisions.of(ANNA) not in seen
        seen.add(revisions.of(ANNA))
        for other in range(KEPT_USERS * number):
            revisions.increment(UserId(f"user{other}"))
        seen.add(revisions.of(ANNA))


def test_no_more_users_are_kept_than_allowed() -> None:
    revisions = Revisions()
    for number in range(KEPT_USERS + 10):
        revisions.increment(UserId(str(number)))
    assert len(revisions._latest) == KEPT_USERS
    assert revisions.of(UserId("0")) == revisions.of(UserId("9")) == 10
