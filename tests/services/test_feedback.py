"""Feedback is kept, within limits."""

import pytest
from sqlalchemy import select
from tests.database import ANNA, BEN, NOW, Desk, at

from safelight.core.errors import Invalid, LimitExceeded
from safelight.core.user import Principal
from safelight.db.tables import feedback as table
from safelight.services import feedback
from safelight.services.feedback import MAX_PER_HOUR, Feedback

pytestmark = pytest.mark.anyio


async def say(desk: Desk, *, who: Principal = ANNA, content: str = "good", now: float = 0) -> None:
    said = Feedback(type="general", rating=5, content=content, metadata={"a": [1]})
    await desk.do(feedback.submit, who, feedback=said, now=at(now))


async def test_it_is_kept(desk: Desk) -> None:
    await say(desk)
    rows = await desk.look(lambda tx: tx.conn.execute(select(table)).all())
    assert [(r.owner_id, r.created_at, r.type, r.rating, r.content, r.metadata) for r in rows] == [
        ("anna", NOW, "general", 5, "good", {"a": [1]})
    ]


async def test_nobody_says_too_much_in_an_hour(desk: Desk) -> None:
    for n in range(MAX_PER_HOUR):
        await say(desk, now=n)
    with pytest.raises(LimitExceeded):
        await say(desk, now=MAX_PER_HOUR)
    await say(desk, who=BEN, now=MAX_PER_HOUR)
    await say(desk, now=3601)


@pytest.mark.parametrize("content", ["x" * 10_001, "a\x00b"])
async def test_what_is_not_kept(desk: Desk, content: str) -> None:
    with pytest.raises(Invalid):
        await say(desk, content=content)
    assert await desk.look(lambda tx: tx.conn.execute(select(table)).all()) == []
