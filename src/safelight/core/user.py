"""Users, and who sends a request. Every service takes a :class:`Principal`, so that tenancy is part of its type."""

import re
from dataclasses import dataclass
from datetime import datetime

from safelight.core.errors import Invalid, InvalidName, LimitExceeded, SafelightError, TooLarge
from safelight.core.ids import LOCAL_USER, UserId

MIN_PASSWORD, MAX_PASSWORD = 8, 1024
"""In characters. There are no rules of composition: only length helps."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. ``is_admin`` opens admin routes; it never opens another user's objects."""

    user_id: UserId
    is_admin: bool = False


LOCAL_PRINCIPAL = Principal(LOCAL_USER, is_admin=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user of an identity provider. ``subject``: unique for its issuer. ``name``: as the provider shows it."""

    issuer: str
    subject: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The limits of a user; ``None`` means no limit."""

    stored_bytes: int | None = None
    queued_jobs: int | None = None
    running_jobs: int | None = None
    device_s: float | None = None
    run_limit_s: float | None = None
    """Longest run of one job; 0: no limit, whatever the server's limit is. ``None``: the server's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account of a user who signs in. The local user has none."""

    user_id: UserId
    name: str
    is_admin: bool
    is_disabled: bool
    has_password: bool
    quota: Quota
    weight: float
    """The user's share of the devices while others wait: a user of weight 2 gets twice the time of a user of weight 1.
    """
    used_device_s: float
    created_at: datetime
    renew_every_s: int | None = None
    """How often ``used_device_s`` is reset; ``None``: never."""

    @property
    def principal(self) -> Principal:
        return Principal(self.user_id, is_admin=self.is_admin)


@dataclass(frozen=True, slots=True)
class SpentQuota:
    """A quota because of which something was refused: the name of its field in :class:`Quota`, and its value."""

    name: str
    limit: float


class QuotaReached(LimitExceeded):
    """A limit that frees up with time, or when the user deletes something. ``retry_after_s``: when to try again.
    ``quota``: the user's quota, if it is one."""

    code = "quota_reached"

    def __init__(self, message: str, *, retry_after_s: int, quota: SpentQuota | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.quota = quota


class StorageSpent(TooLarge):
    """What the user wants to store is more than their quota leaves."""

    code = "storage_quota_reached"

    def __init__(self, message: str, *, quota: SpentQuota) -> None:
        super().__init__(message)
        self.quota = quota


class BudgetSpent(SafelightError):
    """The device-seconds are used up; only an administrator can grant more."""

    code = "budget_spent"


def check_name(name: str) -> str:
    """The name as it is stored, in lower case. Raises :class:`InvalidName`."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name) or name == LOCAL_USER:
        raise InvalidName(f"invalid user name {name!r}: use 1 to 100 of a-z 0-9 . _ @ + -, and not 'local'")
    return name


def check_password(password: str) -> str:
    """Raises :class:`Invalid`; its message does not contain the password."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters; this one has {len(password)}")
    return password


def check_submit(quota: Quota, *, queued: int, stored_bytes: int, used_device_s: float) -> None:
    """Check that one more job may be queued. Raises :class:`BudgetSpent` or :class:`QuotaReached`."""
    if quota.device_s is not None and used_device_s >= quota.device_s:
        raise BudgetSpent(f"Your {quota.device_s:g} device-seconds are used up")
    if quota.queued_jobs is not None and queued >= quota.queued_jobs:
        raise QuotaReached(
            f"You may have {quota.queued_jobs} jobs waiting, and have {queued}",
            retry_after_s=10,
            quota=SpentQuota("queued_jobs", quota.queued_jobs),
        )
    if quota.stored_bytes is not None and stored_bytes > quota.stored_bytes:
        raise QuotaReached(
            f"You may store {quota.stored_bytes} bytes; with this job it would be {stored_bytes}: delete some first",
            retry_after_s=60,
            quota=SpentQuota("stored_bytes", quota.stored_bytes),
        )


def check_store(quota: Quota, *, stored_bytes: int, new_bytes: int) -> None:
    """Check that ``new_bytes`` more may be stored. Raises :class:`StorageSpent`."""
    if quota.stored_bytes is not None and stored_bytes + new_bytes > quota.stored_bytes:
        after = stored_bytes + new_bytes
        raise StorageSpent(
            f"You may store {quota.stored_bytes} bytes; with this it would be {after}: delete some first",
            quota=SpentQuota("stored_bytes", quota.stored_bytes),
        )
