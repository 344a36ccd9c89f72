"""Feedback is kept, within limits."""

import pytest
from sqlalchemy import select
from tests.database import ANNA, BEN, NOW, Env, at

from safelight.core.errors import Invalid, LimitExceeded
from safelight.core.user import Principal
from safelight.db.tables import feedback as table
from safelight.services import feedback
from safelight.services.feedback import MAX_PER_HOUR, Feedback

pytestmark = pytest.mark.anyio


async def say(env: Env, *, who: Principal = ANNA, content: str = "good", now: float = 0) -> None:
    said = Feedback(type="general", rating=5, content=content, metadata={"a": [1]})
    await env.do(feedback.submit, who, feedback=said, now=at(now))


async def test_it_is_kept(env: Env) -> None:
    await say(env)
    rows = await env.read(lambda tx: tx.conn.execute(select(table)).all())
    assert [(r.owner_id, r.created_at, r.type, r.rating, r.content, r.metadata) for r in rows] == [
        ("anna", NOW, "general", 5, "good", {"a": [1]})
    ]


async def test_nobody_says_too_much_in_an_hour(env: Env) -> None:
    for n in range(MAX_PER_HOUR):
        await say(env, now=n)
    with pytest.raises(LimitExceeded):
        await say(env, now=MAX_PER_HOUR)
    await say(env, who=BEN, now=MAX_PER_HOUR)
    await say(env, now=3601)


@pytest.mark.parametrize("content", ["x" * 10_001, "a\x00b"])
async def test_what_is_not_kept(env: Env, content: str) -> None:
    with pytest.raises(Invalid):
        await say(env, content=content)
    assert await env.read(lambda tx: tx.conn.execute(select(table)).all()) == []
