"""What users may use: looked up where there is a limit, and judged by the rules of ``core/user.py``.

A job that was accepted is run and keeps its outputs, also beyond a quota: work that is done is not thrown away.
"""

from collections.abc import Callable
from dataclasses import dataclass

from safelight.core.ids import UserId
from safelight.core.user import Principal, check_store, check_submit
from safelight.db import account as rows
from safelight.db.transaction import Transaction


def admit_job(tx: Transaction, who: Principal, *, size: Callable[[], int]) -> None:
    """``size``: the bytes of its graph and extra data, asked for where bytes are limited. Raises
    :class:`~safelight.core.user.BudgetSpent` or :class:`~safelight.core.user.QuotaReached`."""
    account = rows.find(tx.conn, who.user_id)
    if account is None:
        return
    quota = account.quota
    check_submit(
        quota,
        queued=rows.count_queued(tx.conn, who.user_id) if quota.queued_jobs is not None else 0,
        stored_bytes=rows.stored_bytes(tx.conn, who.user_id) + size() if quota.stored_bytes is not None else 0,
        used_device_s=account.used_device_s,
    )


def admit_bytes(tx: Transaction, who: Principal, *, size: int, instead_of: int = 0) -> None:
    """``size`` bytes more to store, which take the place of ``instead_of``. Raises :class:`~core.errors.TooLarge`."""
    account = rows.find(tx.conn, who.user_id)
    if account is not None and account.quota.stored_bytes is not None and size > instead_of:
        stored_bytes = rows.stored_bytes(tx.conn, who.user_id)
        check_store(account.quota, stored_bytes=stored_bytes, new_bytes=size - instead_of)


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """``may_start``: whether one more of the owner's jobs may run now; ``weight``: the owner's share of the devices;
    ``run_limit_s``: how long one of the owner's jobs may run, where that is said."""

    may_start: bool = True
    weight: float = 1.0
    run_limit_s: float | None = None


def quota_usage(tx: Transaction, owner_id: UserId) -> QuotaUsage:
    account = rows.find(tx.conn, owner_id)
    if account is None:
        return QuotaUsage()
    limit = account.quota.running_jobs
    may_start = limit is None or rows.count_running(tx.conn, owner_id) < limit
    return QuotaUsage(may_start, account.weight, account.quota.run_limit_s)


def use_device(tx: Transaction, owner_id: UserId, *, seconds: float) -> None:
    """Enter into the owner's ledger."""
    if seconds > 0:
        rows.use_device(tx.conn, owner_id, seconds=seconds)
