"""An account as JSON, with its limits and what it uses; and limits from a body."""

from collections.abc import Mapping
from typing import Any

from safelight.api.request_body import InvalidBody
from safelight.core.clock import to_ms
from safelight.core.user import Account
from safelight.services.user_directory import Usage

LIMITS = ("stored_bytes", "queued_jobs", "running_jobs", "device_s", "run_limit_s")
_WHOLE = ("stored_bytes", "queued_jobs", "running_jobs")


def account_json(account: Account, usage: Usage | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": account.user_id,
        "name": account.name,
        "is_admin": account.is_admin,
        "is_disabled": account.is_disabled,
        "has_password": account.has_password,
        "weight": account.weight,
        "renew_every_s": account.renew_every_s,
        "created_at": to_ms(account.created_at),
        "limits": {name: getattr(account.quota, name) for name in LIMITS},
    }
    if usage is not None:
        shown["used"] = {
            "stored_bytes": usage.stored_bytes,
            "queued_jobs": usage.queued_jobs,
            "running_jobs": usage.running_jobs,
            "device_s": account.used_device_s,
        }
    return shown


def read_limits(value: Any) -> Mapping[str, Any]:
    """Limits by name; ``None``: no limit. Raises :class:`InvalidBody`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidBody("'limits' must be an object")
    for name, limit in value.items():
        if name not in LIMITS:
            raise InvalidBody(f"there is no limit {name!r}; the limits are {', '.join(LIMITS)}")
        is_number = isinstance(limit, int if name in _WHOLE else (int, float)) and not isinstance(limit, bool)
        if limit is not None and not (is_number and limit >= 0):
            raise InvalidBody(f"the limit {name!r} is {limit!r}; it must be a number from 0, or null for no limit")
    return value
