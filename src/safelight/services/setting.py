"""The settings of a user's web UI: JSON values by key."""

from collections.abc import Mapping
from typing import Any

from safelight.core.errors import Invalid
from safelight.core.user import Principal
from safelight.db import setting as rows
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json
from safelight.services import quota as quotas

_LONGEST_KEY = 255
_MOST_AT_ONCE = 10_000


def load(tx: Transaction, who: Principal) -> dict[str, Any]:
    return rows.load(tx.conn, who.user_id)


def get(tx: Transaction, who: Principal, *, key: str) -> Any:
    """``None`` both for null and for a key that was never set."""
    return rows.get(tx.conn, who.user_id, key=key)


def put(tx: Transaction, who: Principal, *, values: Mapping[str, Any]) -> None:
    """Set these keys and leave the others."""
    if len(values) > _MOST_AT_ONCE:
        raise Invalid(f"{len(values)} settings are too many for one request (at most {_MOST_AT_ONCE})")
    for key in values:
        if not key or len(key) > _LONGEST_KEY:
            raise Invalid(f"{key[:40]!r} is not a setting's key (1 to {_LONGEST_KEY} characters)")
        if any(character < " " for character in key):
            raise Invalid(f"{key!r} is not a setting's key: it contains control characters")
    before = rows.size(tx.conn, who.user_id, keys=[*values])
    quotas.admit_bytes(tx, who, size=_size_of(values), instead_of=before)
    rows.put(tx.conn, who.user_id, values=values)


def _size_of(values: Mapping[str, Any]) -> int:
    """The bytes of these settings as rows."""
    return sum(len(key.encode("utf-8", "surrogatepass")) + len(encode_json(value)) for key, value in values.items())
