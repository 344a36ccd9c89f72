"""Idempotency keys of submissions: a key is good for one job, and is forgotten after a day.

The claim is a row in the transaction of the job. If the submission is refused, the claim is undone with it; if the
server dies before its answer, both exist or neither does, so the next use of the key tells which.
"""

from datetime import datetime, timedelta

from safelight.core.errors import Unprocessable
from safelight.core.user import Principal
from safelight.db import idempotency as rows
from safelight.db.transaction import Transaction

LIFETIME = timedelta(hours=24)
MAX_KEY = 255


class KeyReused(Unprocessable):
    """The key has made a job already. The job is not shown again: a key is not a way to read."""

    code = "idempotency_key_reuse"


class InvalidKey(Unprocessable):
    code = "invalid_request"


def check_key(key: str) -> str:
    """Raises :class:`InvalidKey`."""
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidKey(f"invalid Idempotency-Key {key[:80]!r}: use 1 to {MAX_KEY} printable ASCII characters")
    return key


def claim(tx: Transaction, who: Principal, *, key: str, now: datetime) -> None:
    """Claim the key for the job of this transaction. Raises :class:`KeyReused`."""
    if not rows.claim(tx.conn, who.user_id, key=key, now=now):
        raise KeyReused("this Idempotency-Key has been used for a job; use a new key for each submission")


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Forget the keys of all users whose day is over, and return their number."""
    return rows.forget(tx.conn, before=now - LIFETIME)
