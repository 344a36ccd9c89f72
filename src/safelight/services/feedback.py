"""Feedback of users, stored for the operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from safelight.core.errors import Forbidden, Invalid, LimitExceeded
from safelight.core.user import Principal
from safelight.db import feedback as rows
from safelight.db.feedback import Message
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json

MAX_PER_HOUR = 20
MAX_CONTENT_LENGTH = 10_000
MAX_METADATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    type: str
    rating: int | None = None
    content: str | None = None
    metadata: Mapping[str, Any] | None = None


def latest(tx: Transaction, who: Principal, *, limit: int) -> Sequence[Message]:
    """The latest messages of all users."""
    if not who.is_admin:
        raise Forbidden("only administrators may read feedback")
    return rows.latest(tx.conn, limit=limit)


def submit(tx: Transaction, who: Principal, *, feedback: Feedback, now: datetime) -> None:
    """Store feedback. Raises :class:`LimitExceeded` for a user who sent too much within an hour."""
    content, metadata = feedback.content, feedback.metadata
    if content is not None and (len(content) > MAX_CONTENT_LENGTH or "\x00" in content):
        raise Invalid(f"the content may have at most {MAX_CONTENT_LENGTH} characters and no NUL")
    if metadata is not None and len(encode_json(metadata)) > MAX_METADATA_BYTES:
        raise Invalid(f"the metadata may have at most {MAX_METADATA_BYTES} bytes")
    if rows.count_since(tx.conn, who.user_id, since=now - timedelta(hours=1)) >= MAX_PER_HOUR:
        raise LimitExceeded(f"at most {MAX_PER_HOUR} messages an hour are accepted; try again later")
    words = {"type": feedback.type, "rating": feedback.rating, "content": content, "metadata": metadata}
    rows.add(tx.conn, who.user_id, fields=words, now=now)
