"""``/api/admin/usage``: what users used, by day; and ``/api/admin/feedback``: what they wrote."""

from datetime import timedelta
from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.contract import Parameter
from safelight.api.handler import reads
from safelight.core.clock import to_ms
from safelight.db.transaction import Transaction
from safelight.db.usage import DayOfUse
from safelight.services import feedback
from safelight.services import user_directory as directory

USAGE_PARAMETERS = (Parameter("days", type="integer", minimum=1, maximum=400, default=30),)
FEEDBACK_PARAMETERS = (Parameter("limit", type="integer", minimum=1, maximum=1000, default=100),)
_DAY_MS = 86_400_000


@reads
def list_usage(tx: Transaction, request: ApiRequest) -> Any:
    """Jobs and device-seconds of each user on each day (UTC) on which a job of theirs ended."""
    since = request.now - timedelta(days=request.params["days"])
    found = directory.usage_by_day(tx, request.who, since=since)
    return {"days": [_day(day) for day in found]}


@reads
def list_feedback(tx: Transaction, request: ApiRequest) -> Any:
    directory.require_admin(request.who)
    found = feedback.latest(tx, request.who, limit=request.params["limit"])
    return {
        "messages": [
            {"at": to_ms(each.created_at), "user": each.name, "type": each.type, "content": each.content}
            for each in found
        ]
    }


def _day(day: DayOfUse) -> dict[str, Any]:
    start = day.day * _DAY_MS
    return {"day": start, "user": day.user_id, "name": day.name, "jobs": day.jobs, "device_s": day.device_s}
