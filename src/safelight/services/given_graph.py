"""Workflows that an administrator gives to everybody: all users find them among the templates of the web UI."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from safelight.core.errors import Forbidden, Invalid, LimitExceeded, NotFound
from safelight.core.publication import without_credentials
from safelight.core.user import Principal
from safelight.db import account as accounts
from safelight.db import given_graph as rows
from safelight.db.given_graph import GivenGraph
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json
from safelight.services import audit

MOST = 500
_NAME = re.compile(r"[\w .,()+-]{1,100}")


def give(
    tx: Transaction, who: Principal, *, name: str, content: Mapping[str, Any], max_bytes: int, now: datetime
) -> GivenGraph:
    """Give a workflow, without credentials in it, or replace the one of that name."""
    require_admin(who)
    if not _NAME.fullmatch(name) or name != name.strip() or name.startswith("."):
        raise Invalid(f"invalid name {name!r}: use 1 to 100 letters, digits, spaces and . , ( ) + - _")
    if not isinstance(content.get("nodes"), Sequence):
        raise Invalid("the workflow must be a workflow of the web UI, with a list 'nodes'")
    shared = without_credentials(content)
    if (size := len(encode_json(shared))) > max_bytes:
        raise LimitExceeded(f"the workflow has {size} bytes; at most {max_bytes} can be given")
    if len(rows.all_graphs(tx.conn)) >= MOST:
        raise LimitExceeded(f"there are {MOST} workflows already; withdraw one first")
    account = accounts.find(tx.conn, who.user_id)
    graph = GivenGraph(name=name, giver_name=account.name if account else str(who.user_id), given_at=now)
    rows.put(tx.conn, graph=graph, content=shared)
    audit.write(tx, who, action="workflow.give", subject=name, now=now)
    return graph


def list(tx: Transaction) -> Sequence[GivenGraph]:
    """All of them, by name, for every user."""
    return rows.all_graphs(tx.conn)


def read(tx: Transaction, *, name: str) -> Mapping[str, Any]:
    """For every user. Raises :class:`NotFound`."""
    content = rows.content_of(tx.conn, name)
    if content is None:
        raise NotFound(f"there is no workflow {name!r} for everybody")
    return content


def withdraw(tx: Transaction, who: Principal, *, name: str, now: datetime) -> None:
    require_admin(who)
    if not rows.remove(tx.conn, name):
        raise NotFound(f"there is no workflow {name!r} for everybody")
    audit.write(tx, who, action="workflow.withdraw", subject=name, now=now)


def require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("only administrators may give workflows to everybody")
