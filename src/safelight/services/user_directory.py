"""What an administrator does with the accounts of all users: list, invite and change them.

``services/user.py`` has the same verbs for commands on the server's machine, which name users and need no caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from safelight.core.errors import Conflict, Forbidden, Invalid
from safelight.core.ids import UserId
from safelight.core.user import Account, Principal, Quota, check_name
from safelight.db import account as rows
from safelight.db import usage as usage_rows
from safelight.db.transaction import Transaction
from safelight.db.usage import DayOfUse
from safelight.services import audit, invitation
from safelight.services import user as users

MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user uses at this moment."""

    stored_bytes: int
    queued_jobs: int
    running_jobs: int


@dataclass(frozen=True, slots=True)
class Invited:
    """``token``: the secret of the link with which the user chooses a password."""

    account: Account
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``None``: stays as it is. ``limits``: the fields of :class:`Quota` to change, ``None`` in them for no limit."""

    is_admin: bool | None = None
    is_disabled: bool | None = None
    weight: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    reset_used: bool = False
    name: str | None = None
    renew_every_s: int | None = None
    """0: never."""


def list(tx: Transaction, who: Principal) -> Sequence[tuple[Account, Usage]]:
    """All accounts by name, and what each uses."""
    require_admin(who)
    return [(account, usage_of(tx, account.user_id)) for account in users.list(tx)]


def usage_of(tx: Transaction, user_id: UserId) -> Usage:
    return Usage(
        stored_bytes=rows.stored_bytes(tx.conn, user_id),
        queued_jobs=rows.count_queued(tx.conn, user_id),
        running_jobs=rows.count_running(tx.conn, user_id),
    )


def usage_by_day(tx: Transaction, who: Principal, *, since: datetime) -> Sequence[DayOfUse]:
    """What all users used, by day."""
    require_admin(who)
    return usage_rows.by_day(tx.conn, since=since)


def invite(
    tx: Transaction, who: Principal, *, names: Sequence[str], is_admin: bool, quota: Quota, now: datetime
) -> Sequence[Invited]:
    """Create an account for each name, all or none. Raises :class:`Conflict` if a name is taken."""
    require_admin(who)
    cleaned = [check_name(name) for name in names]
    if not 0 < len(cleaned) <= MOST_AT_ONCE:
        raise Invalid(f"{len(cleaned)} names; invite 1 to {MOST_AT_ONCE} users at once")
    if twice := sorted({name for name in cleaned if cleaned.count(name) > 1}):
        raise Conflict(f"{twice[0]!r} is in the list twice")
    if not is_admin and not rows.exist(tx.conn):
        raise Conflict("the first account must be an administrator's: with it, the server requires to sign in")
    made = []
    for name in cleaned:
        account = users.add(tx, name=name, is_admin=is_admin, now=now)
        if quota != Quota():
            account = users.set_quota(tx, name=name, quota=quota)
        made.append(Invited(account, invitation.invite(tx, account.user_id, now=now)))
        audit.write(tx, who, action="user.invite", subject=name, details={"is_admin": is_admin}, now=now)
    return made


def invite_again(tx: Transaction, who: Principal, *, user_id: UserId, now: datetime) -> Invited:
    """A new link for a user who has lost theirs, or forgotten the password."""
    require_admin(who)
    account = users.get_by_id(tx, user_id)
    if account.is_disabled:
        raise Conflict(f"the user {account.name!r} is disabled")
    audit.write(tx, who, action="user.invite_again", subject=account.name, now=now)
    return Invited(account, invitation.invite(tx, user_id, now=now))


def change(tx: Transaction, who: Principal, *, user_id: UserId, change: Change, now: datetime) -> Account:
    """Change an account. An administrator cannot take their own rights or disable themselves: one must remain."""
    require_admin(who)
    account = users.get_by_id(tx, user_id)
    name = account.name
    if user_id == who.user_id and (change.is_admin is False or change.is_disabled):
        raise Conflict("you cannot disable yourself or take your own rights; another administrator can")
    if change.is_admin is not None:
        users.set_admin(tx, name=name, is_admin=change.is_admin)
    if change.limits:
        users.set_quota(tx, name=name, quota=replace(account.quota, **dict(change.limits)))
    if change.renew_every_s is not None:
        users.set_renewal(tx, name=name, every_s=change.renew_every_s or None, now=now)
    if change.weight is not None:
        users.set_weight(tx, name=name, weight=change.weight)
    if change.reset_used:
        users.reset_device_s(tx, name=name)
    if change.is_disabled is not None and change.is_disabled != account.is_disabled:
        users.disable(tx, name=name, disabled=change.is_disabled, now=now)
    if change.name is not None:
        users.rename(tx, name=name, new_name=change.name)
    changed = {field: value for field, value in asdict(change).items() if value not in (None, {}, False)}
    if change.is_admin is False or change.is_disabled is False:
        changed |= {"is_admin": change.is_admin, "is_disabled": change.is_disabled}
    audit.write(tx, who, action="user.change", subject=name, details=changed, now=now)
    return users.get_by_id(tx, user_id)


def require_admin(who: Principal) -> None:
    if not who.is_admin:
        raise Forbidden("only administrators may see and change other users")
