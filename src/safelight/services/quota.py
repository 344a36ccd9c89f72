"""Quotas: what users use, read where there is a limit, and checked by the rules in ``core/user.py``.

An accepted job runs and keeps its outputs even beyond a quota: finished work is not discarded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from safelight.core.ids import UserId
from safelight.core.user import Principal, check_store, check_submit
from safelight.db import account as rows
from safelight.db.transaction import Transaction
from safelight.services import webhook_queue as webhooks


def admit_job(tx: Transaction, who: Principal, *, size: Callable[[], int]) -> None:
    """Check that the user may queue one more job. ``size``: returns the bytes of its graph and extra data; called only
    where stored bytes are limited. Raises :class:`~safelight.core.user.BudgetSpent` or
    :class:`~safelight.core.user.QuotaReached`."""
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


def admit_jobs(tx: Transaction, who: Principal, *, count: int) -> None:
    """Check that the user may queue ``count`` more jobs. Raises what :func:`admit_job` raises."""
    account = rows.find(tx.conn, who.user_id)
    if account is None:
        return
    queued = rows.count_queued(tx.conn, who.user_id) if account.quota.queued_jobs is not None else 0
    check_submit(account.quota, queued=queued + count - 1, stored_bytes=0, used_device_s=account.used_device_s)


def admit_bytes(tx: Transaction, who: Principal, *, size: int, instead_of: int = 0) -> None:
    """Check that the user may store ``size`` bytes that replace ``instead_of`` bytes. Raises
    :class:`~safelight.core.user.StorageSpent`."""
    account = rows.find(tx.conn, who.user_id)
    if account is not None and account.quota.stored_bytes is not None and size > instead_of:
        stored_bytes = rows.stored_bytes(tx.conn, who.user_id)
        check_store(account.quota, stored_bytes=stored_bytes, new_bytes=size - instead_of)


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """``may_start``: whether one more of the owner's jobs may run now; ``weight``: the owner's share of the devices;
    ``run_limit_s``: how long each of the owner's jobs may run; ``None``: no limit of the owner's own."""

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


def stored_bytes_by_class(tx: Transaction) -> Mapping[str, int]:
    """Bytes of the assets of each class of owners: ``administrators``, ``users``, ``public``."""
    return rows.stored_bytes_by_class(tx.conn)


def use_device(tx: Transaction, owner_id: UserId, *, seconds: float, now: datetime) -> None:
    """Add device-seconds to the owner's usage, and tell the owner's webhooks if that spends the budget."""
    if seconds <= 0:
        return
    account = rows.find(tx.conn, owner_id)
    rows.use_device(tx.conn, owner_id, seconds=seconds)
    limit = account.quota.device_s if account is not None else None
    if account is not None and limit is not None and account.used_device_s < limit <= account.used_device_s + seconds:
        webhooks.quota_reached(tx, owner_id, quota="device_s", limit=limit, now=now)
