"""``/api/feedback``."""

from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.services import feedback
from safelight.services.feedback import Feedback


async def submit_feedback(app: App, request: ApiRequest) -> Response:
    who, body, now = request.who, request.body, app.clock.now()
    rating = None if body.get("rating") is None else int(body["rating"])
    said = Feedback(type=body["type"], rating=rating, content=body.get("content"), metadata=body.get("metadata"))
    await app.db.write(lambda tx: feedback.submit(tx, who, feedback=said, now=now))
    return json_response({}, status=201)
