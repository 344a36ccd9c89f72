"""What groups of an identity provider mean here: who may sign in, who is an administrator, which limits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from safelight.core.errors import Invalid
from safelight.core.user import Quota

_WHOLE = ("stored_bytes", "queued_jobs", "running_jobs")
_FRACTIONS = ("device_s", "run_limit_s")


@dataclass(frozen=True, slots=True)
class GroupQuota:
    """``limits``: the fields of :class:`Quota` that the group sets."""

    group: str
    limits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GroupRules:
    """``allowed``: empty: everybody. ``admins``: empty: rights are given here only. ``quotas``: the first group
    of which a user is a member counts."""

    allowed: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    quotas: tuple[GroupQuota, ...] = ()

    def may_sign_in(self, groups: Collection[str]) -> bool:
        return not self.allowed or bool(self.allowed & set(groups))

    def is_admin(self, groups: Collection[str], *, before: bool) -> bool:
        """``before``: whether the user is an administrator now."""
        return bool(self.admins & set(groups)) if self.admins else before

    def quota(self, groups: Collection[str], *, before: Quota) -> Quota:
        found = next((quota for quota in self.quotas if quota.group in groups), None)
        return before if found is None else replace(before, **found.limits)


def read_quota(text: str) -> GroupQuota:
    """``students running_jobs=1 device_s=7200``. Raises :class:`Invalid`."""
    group, *parts = text.split() or [""]
    limits: dict[str, float] = {}
    for part in parts:
        name, _, value = part.partition("=")
        try:
            limits[name] = int(value) if name in _WHOLE else float(value)
        except ValueError:
            raise Invalid(f"invalid limit {part!r} of the group {group!r}") from None
        if name not in (*_WHOLE, *_FRACTIONS) or not 0 <= limits[name] < 2**63:
            raise Invalid(f"invalid limit {part!r} of the group {group!r}")
    if not limits:
        raise Invalid(f"{text!r} sets no limit; write a group and its limits, such as 'students running_jobs=1'")
    return GroupQuota(group, limits)
