"""Deletes a user with all their data, for administrators and for the user."""

import asyncio

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.core.ids import UserId
from safelight.services import user_removal

_WAITS, _WAIT_S = 100, 0.2
"""How long it waits for the user's jobs to end."""


async def remove_user(app: App, request: ApiRequest, user_id: UserId) -> None:
    """End the user's jobs, wait until none runs, then delete. Raises :class:`Conflict` if one does not end in time."""
    who = request.who
    await app.db.write(lambda tx: user_removal.end(tx, who, user_id=user_id, now=request.now))
    for _ in range(_WAITS):
        if await app.db.read(lambda tx: user_removal.has_ended(tx, user_id=user_id)):
            break
        await asyncio.sleep(_WAIT_S)
    await app.db.write(lambda tx: user_removal.remove(tx, who, user_id=user_id, now=request.now))
