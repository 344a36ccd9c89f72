"""``/api/feedback``."""

from starlette.responses import Response

from safelight.api.answers import json_response
from safelight.api.app import App
from safelight.api.call import Call
from safelight.services import feedback
from safelight.services.feedback import Feedback


async def submit_feedback(app: App, call: Call) -> Response:
    who, body, now = call.who, call.body, app.clock.now()
    rating = None if body.get("rating") is None else int(body["rating"])
    said = Feedback(type=body["type"], rating=rating, content=body.get("content"), metadata=body.get("metadata"))
    await app.db.write(lambda tx: feedback.submit(tx, who, feedback=said, now=now))
    return json_response({}, status=201)
