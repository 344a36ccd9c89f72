"""The audit: who did what. Each entry is written in the transaction of the change that it tells."""

import builtins
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from safelight.core.audit import AuditEntry
from safelight.core.errors import Forbidden
from safelight.core.ids import UserId
from safelight.core.paging import PageRequest
from safelight.core.user import Principal
from safelight.db import account as accounts
from safelight.db import audit as rows
from safelight.db.transaction import Transaction

COMMAND = UserId("command")
"""The actor of commands on the server's machine, which need no account."""


def write(
    tx: Transaction,
    who: Principal,
    *,
    action: str,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
    now: datetime,
) -> None:
    account = accounts.find(tx.conn, who.user_id)
    name = account.name if account is not None else str(who.user_id)
    entry = AuditEntry(
        at=now, actor_id=who.user_id, actor_name=name, action=action, subject=subject, details=details or {}
    )
    rows.add(tx.conn, entry=entry)


def list(
    tx: Transaction, who: Principal, *, action: str | None, actor_id: UserId | None, request: PageRequest
) -> tuple[Sequence[AuditEntry], bool]:
    """A page, newest first, and whether there are more. Raises :class:`Forbidden`."""
    if not who.is_admin:
        raise Forbidden("only administrators may read the audit")
    more = PageRequest(limit=request.limit + 1, offset=request.offset)
    found = builtins.list(rows.page(tx.conn, action=action, actor_id=actor_id, request=more))
    return found[: request.limit], len(found) > request.limit


def remove_old(tx: Transaction, *, keep_s: float, now: datetime) -> int:
    """Remove entries that are older; ``keep_s`` 0: keep all. Returns their number."""
    return rows.remove_before(tx.conn, now - timedelta(seconds=keep_s)) if keep_s else 0


COMMAND_PRINCIPAL = Principal(COMMAND, is_admin=True)
