"""``/api/admin/audit``: who did what."""

from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.contract import Parameter
from safelight.api.handler import reads
from safelight.core.clock import to_ms
from safelight.core.ids import UserId
from safelight.core.paging import PageRequest
from safelight.db.transaction import Transaction
from safelight.services import audit

PARAMETERS = (
    Parameter("action"),
    Parameter("user"),
    Parameter("limit", type="integer", minimum=1, maximum=1000, default=100),
    Parameter("offset", type="integer", minimum=0, default=0),
)


@reads
def list_entries(tx: Transaction, request: ApiRequest) -> Any:
    """The latest entries; with ``action`` or ``user`` (an id) only those."""
    params = request.params
    page = PageRequest(limit=params["limit"], offset=params["offset"])
    actor_id = UserId(params["user"]) if params["user"] else None
    found, has_more = audit.list(tx, request.who, action=params["action"] or None, actor_id=actor_id, request=page)
    entries = [
        {
            "at": to_ms(entry.at),
            "user": entry.actor_id,
            "user_name": entry.actor_name,
            "action": entry.action,
            "subject": entry.subject,
            "details": dict(entry.details),
        }
        for entry in found
    ]
    return {"entries": entries, "pagination": {"limit": page.limit, "offset": page.offset, "has_more": has_more}}
