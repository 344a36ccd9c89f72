"""``/api/account``: what users see and change of their own account: usage, password, keys."""

from typing import Any

from starlette.responses import Response

from safelight.api.account.account_json import account_json
from safelight.api.account.removal import remove_user
from safelight.api.account.session import address_of, begin_session, text_field
from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.auth import COOKIE
from safelight.api.handler import reads, writes
from safelight.api.responses import json_response
from safelight.api.sign_in import WrongPassword
from safelight.core.clock import to_ms
from safelight.core.credential import KeyId
from safelight.core.errors import Conflict, Forbidden
from safelight.core.user import Account
from safelight.db.transaction import Transaction
from safelight.services import key as keys
from safelight.services import session as sessions
from safelight.services import user as users
from safelight.services import user_directory
from safelight.services.session import SessionId

_LARGEST_BODY = 16 * 1024


@reads
def get_account(tx: Transaction, request: ApiRequest) -> Any:
    """The caller's account with its limits and usage."""
    account = _account(tx, request)
    return account_json(account, user_directory.usage_of(tx, account.user_id))


async def change_password(app: App, request: ApiRequest) -> Response:
    """Set a new password, with the old one; every other session of the user ends."""
    body = await request.read_json(limit=_LARGEST_BODY)
    old, new = text_field(body, "old"), text_field(body, "new")
    account = await app.db.read(lambda tx: _account(tx, request))
    try:
        await app.sign_in.check(name=account.name, password=old, address=address_of(request.http))
    except WrongPassword:
        raise Forbidden("the current password is wrong") from None
    password_hash = await app.sign_in.hash(new)
    await app.db.write(lambda tx: users.set_password(tx, name=account.name, password_hash=password_hash))
    return await begin_session(app, request.http, account)


@reads
def list_keys(tx: Transaction, request: ApiRequest) -> Any:
    found = keys.of_user(tx, request.who)
    return {"keys": [{"id": key.id, "label": key.label, "created_at": to_ms(key.created_at)} for key in found]}


async def create_key(app: App, request: ApiRequest) -> Response:
    """A new key of the caller's; its text is in this response only."""
    body = await request.read_json(limit=_LARGEST_BODY)
    label = text_field(body, "label") if isinstance(body, dict) and "label" in body else ""

    def create(tx: Transaction) -> Any:
        made = keys.create(tx, user_name=_account(tx, request).name, label=label, now=request.now)
        return {"id": made.id, "key": made.text, "label": label[:255]}

    return json_response(await app.db.write(create), status=201, headers={"cache-control": "no-store"})


@writes
def delete_key(tx: Transaction, request: ApiRequest) -> Any:
    keys.revoke_own(tx, request.who, key_id=KeyId(request.params["key_id"]))
    return {"deleted": True}


@reads
def list_sessions(tx: Transaction, request: ApiRequest) -> Any:
    """Where the caller is signed in."""
    found = sessions.of_user(tx, request.who, token=request.http.cookies.get(COOKIE), now=request.now)
    return {
        "sessions": [
            {
                "id": each.id,
                "created_at": to_ms(each.created_at),
                "expires_at": to_ms(each.expires_at),
                "is_this": each.is_this,
            }
            for each in found
        ]
    }


@writes
def end_session(tx: Transaction, request: ApiRequest) -> Any:
    sessions.end_own(tx, request.who, session_id=SessionId(request.params["session_id"]), now=request.now)
    return {"ended": True}


async def delete_account(app: App, request: ApiRequest) -> Response:
    """Delete the caller's account with all their data. The body has the password, or, for an account without one, the
    account's name."""
    body = await request.read_json(limit=_LARGEST_BODY)
    account = await app.db.read(lambda tx: _account(tx, request))
    if account.has_password:
        try:
            password = text_field(body, "password")
            await app.sign_in.check(name=account.name, password=password, address=address_of(request.http))
        except WrongPassword:
            raise Forbidden("the password is wrong") from None
    elif text_field(body, "name") != account.name:
        raise Forbidden("the name is not that of your account")
    await remove_user(app, request, account.user_id)
    return Response(status_code=204, headers={"clear-site-data": '"storage", "cookies"'})


def _account(tx: Transaction, request: ApiRequest) -> Account:
    account = users.find(tx, request.who)
    if account is None:
        raise Conflict("this server has no accounts")
    return account
