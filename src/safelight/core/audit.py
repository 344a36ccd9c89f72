"""The audit: what administrators did, and who signed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safelight.core.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """``action``: a noun and a verb, such as ``user.invite``. ``subject``: the name or id of what it was done to.
    ``details``: what changed; never a secret, never a user's text."""

    at: datetime
    actor_id: UserId
    actor_name: str
    action: str
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
