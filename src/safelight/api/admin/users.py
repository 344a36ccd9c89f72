"""``/api/admin/users``: the accounts of all users, for administrators: list, invite, change."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from safelight.api.account.account_json import account_json, read_limits
from safelight.api.account.removal import remove_user
from safelight.api.account.session import text_field
from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import reads
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.core.errors import Conflict
from safelight.core.ids import UserId
from safelight.core.user import Quota
from safelight.db.transaction import Transaction
from safelight.services import user_directory as directory
from safelight.services.user_directory import Change, Invited

_LARGEST_BODY = 256 * 1024


@reads
def list_users(tx: Transaction, request: ApiRequest) -> Any:
    return {"users": [account_json(account, usage) for account, usage in directory.list(tx, request.who)]}


async def invite_users(app: App, request: ApiRequest) -> Response:
    """Create accounts for a list of names; the response has a link for each, which is shown only this once."""
    directory.require_admin(request.who)
    body = _object(await request.read_json(limit=_LARGEST_BODY))
    names = body.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidBody("'names' must be a list of strings")
    quota = Quota(**read_limits(body.get("limits")))
    is_admin = _flag(body, "is_admin") or False

    def invite(tx: Transaction) -> Any:
        made = directory.invite(tx, request.who, names=names, is_admin=is_admin, quota=quota, now=request.now)
        return {"users": [_invited(app, each) for each in made]}

    return json_response(await app.db.write(invite), status=201, headers={"cache-control": "no-store"})


async def invite_again(app: App, request: ApiRequest) -> Response:
    user_id = UserId(request.params["user_id"])

    def invite(tx: Transaction) -> Any:
        return _invited(app, directory.invite_again(tx, request.who, user_id=user_id, now=request.now))

    return json_response(await app.db.write(invite), status=201, headers={"cache-control": "no-store"})


async def change_user(app: App, request: ApiRequest) -> Response:
    directory.require_admin(request.who)
    body = _object(await request.read_json(limit=_LARGEST_BODY))
    weight = body.get("weight")
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int | float)):
        raise InvalidBody("'weight' must be a number")
    change = Change(
        is_admin=_flag(body, "is_admin"),
        is_disabled=_flag(body, "is_disabled"),
        weight=weight,
        limits=read_limits(body.get("limits")),
        reset_used=_flag(body, "reset_used") or False,
        name=text_field(body, "name") if "name" in body else None,
        renew_every_s=_whole(body, "renew_every_s"),
    )
    user_id = UserId(request.params["user_id"])

    def write(tx: Transaction) -> Any:
        return account_json(directory.change(tx, request.who, user_id=user_id, change=change, now=request.now))

    return json_response(await app.db.write(write))


def _invited(app: App, made: Invited) -> Mapping[str, Any]:
    """``link``: where the user chooses a password, below the address of the server."""
    return account_json(made.account) | {"link": f"{app.settings.server.public_url}/invitation#{made.token}"}


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise InvalidBody("the body must be an object")
    return body


async def delete_user(app: App, request: ApiRequest) -> Response:
    """Delete a user with all their data: end their jobs, wait until none runs, then delete."""
    directory.require_admin(request.who)
    user_id = UserId(request.params["user_id"])
    if user_id == request.who.user_id:
        raise Conflict("you cannot delete yourself here; use the page of your account")
    await remove_user(app, request, user_id)
    return Response(status_code=204)


def _whole(body: Mapping[str, Any], name: str) -> int | None:
    """``null`` in the body means 0; a missing member means no change."""
    if name not in body:
        return None
    value = body[name]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise InvalidBody(f"{name!r} must be a whole number from 0, or null")
    return value or 0


def _flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidBody(f"{name!r} must be a boolean")
    return value
