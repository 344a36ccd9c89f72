"""``/api/feedback``."""

from typing import Any

from safelight.api.api_request import ApiRequest
from safelight.api.handler import writes
from safelight.db.transaction import Transaction
from safelight.services import feedback
from safelight.services.feedback import Feedback


@writes(status=201)
def submit_feedback(tx: Transaction, request: ApiRequest) -> Any:
    body = request.body
    rating = None if body.get("rating") is None else int(body["rating"])
    new = Feedback(type=body["type"], rating=rating, content=body.get("content"), metadata=body.get("metadata"))
    feedback.submit(tx, request.who, feedback=new, now=request.now)
    return {}
