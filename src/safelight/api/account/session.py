"""``/api/auth/*``: sessions of browsers, invitations, and the first account of a server."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.auth import COOKIE, find_credential
from safelight.api.request_body import InvalidBody
from safelight.api.responses import json_response
from safelight.api.sign_in import WRONG_PER_ADDRESS
from safelight.core.errors import Forbidden
from safelight.core.user import Account
from safelight.db.transaction import Transaction
from safelight.services import account_revision
from safelight.services import invitation as invitations
from safelight.services import session as sessions
from safelight.services import user as users
from safelight.services.account_revision import AccountState

_LARGEST_BODY = 16 * 1024


async def get_session(app: App, request: ApiRequest) -> Response:
    """Whether the server has accounts, and the user who is signed in."""
    who = request.principal

    def read(tx: Transaction) -> tuple[AccountState, Account | None]:
        return account_revision.read(tx), users.find(tx, who) if who else None

    state, account = await app.db.read(read)
    body: dict[str, Any] = {
        "accounts": state.has_accounts or app.settings.access.requires_accounts,
        "user": _shown(account) if account else None,
    }
    if app.sign_on is not None:
        body["sign_on"] = app.settings.access.oidc_name
    return json_response(body, headers={"cache-control": "no-store"})


async def create_session(app: App, request: ApiRequest) -> Response:
    """Sign in with a name and a password, or with an identity token as the request's bearer token."""
    body = await request.read_json(limit=_LARGEST_BODY)
    credential = find_credential(request.http)
    if body is None and request.principal is not None and credential is not None and credential.kind == "token":
        who = request.principal
        if (account := await app.db.read(lambda tx: users.find(tx, who))) is not None:
            return await begin_session(app, request.http, account)
    name, password = text_field(body, "name"), text_field(body, "password")
    account = await app.sign_in.check(name=name, password=password, address=address_of(request.http))
    return await begin_session(app, request.http, account)


async def delete_session(app: App, request: ApiRequest) -> Response:
    """Sign out: end the session and its sockets, and make the browser clear the UI's storage. If the user signed in at
    an identity provider, the response has the address at which the browser signs out there as well."""
    id_token = None
    if token := request.http.cookies.get(COOKIE):
        id_token = await app.db.write(lambda tx: sessions.end(tx, token=token))
    headers = {"clear-site-data": '"storage"', "cache-control": "no-store"}
    address = None
    if id_token and app.sign_on is not None:
        login = f"{app.settings.server.public_url or str(request.http.base_url).rstrip('/')}/login"
        address = await app.sign_on.sign_out_address(id_token, return_to=login)
    response = (
        json_response({"sign_out_url": address}, headers=headers)
        if address
        else Response(status_code=204, headers=headers)
    )
    response.delete_cookie(COOKIE, **cookie_attributes(app, request.http))
    return response


async def set_up(app: App, request: ApiRequest) -> Response:
    """Create the first administrator, by the link that the server printed, and sign them in."""
    address = address_of(request.http)
    app.sign_in.refuse_too_many(("", address, WRONG_PER_ADDRESS))
    body = await request.read_json(limit=_LARGEST_BODY)
    token, name, password = text_field(body, "token"), text_field(body, "name"), text_field(body, "password")
    if not await app.db.read(lambda tx: sessions.is_setup_offered(tx, token=token)):
        app.sign_in.count_wrong(address=address)
        raise Forbidden(sessions.NO_SETUP)
    password_hash = await app.sign_in.hash(password)
    now = app.clock.now()
    account = await app.db.write(
        lambda tx: sessions.set_up(tx, token=token, name=name, password_hash=password_hash, now=now)
    )
    return await begin_session(app, request.http, account)


async def get_invitation(app: App, request: ApiRequest) -> Response:
    """The name of the user whom a link invites."""
    token = text_field(await request.read_json(limit=_LARGEST_BODY), "token")
    address = address_of(request.http)
    app.sign_in.refuse_too_many(("", address, WRONG_PER_ADDRESS))
    try:
        account = await app.db.read(lambda tx: invitations.invited(tx, token=token, now=request.now))
    except Forbidden:
        app.sign_in.count_wrong(address=address)
        raise
    return json_response({"name": account.name}, headers={"cache-control": "no-store"})


async def accept_invitation(app: App, request: ApiRequest) -> Response:
    """Set the password of the user whom the link invites, and sign them in."""
    body = await request.read_json(limit=_LARGEST_BODY)
    token, password = text_field(body, "token"), text_field(body, "password")
    address = address_of(request.http)
    app.sign_in.refuse_too_many(("", address, WRONG_PER_ADDRESS))
    try:
        await app.db.read(lambda tx: invitations.invited(tx, token=token, now=request.now))
    except Forbidden:
        app.sign_in.count_wrong(address=address)
        raise
    password_hash = await app.sign_in.hash(password)
    account = await app.db.write(
        lambda tx: invitations.accept(tx, token=token, password_hash=password_hash, now=request.now)
    )
    return await begin_session(app, request.http, account)


async def begin_session(app: App, request: Request, account: Account) -> Response:
    """Start a session with a new secret: an existing one may be known to somebody else."""
    response = json_response({"user": _shown(account)}, status=201, headers={"cache-control": "no-store"})
    await begin_session_in(response, app, request, account)
    return response


async def begin_session_in(
    response: Response, app: App, request: Request, account: Account, *, id_token: str | None = None
) -> None:
    """Start a session and set its cookie. ``id_token``: of the identity provider at which the user has signed in."""
    now = app.clock.now()
    token = await app.db.write(lambda tx: sessions.start(tx, account.principal, id_token=id_token, now=now))
    age_s = int(sessions.LIFETIME.total_seconds())
    response.set_cookie(COOKIE, token, max_age=age_s, **cookie_attributes(app, request))


def cookie_attributes(app: App, request: Request) -> dict[str, Any]:
    path = request.scope.get("root_path") or "/"
    is_secure = request.url.scheme == "https" or app.settings.server.public_url.startswith("https:")
    return {"path": path, "secure": is_secure, "httponly": True, "samesite": "lax"}


def _shown(account: Account) -> dict[str, Any]:
    return {"id": account.user_id, "name": account.name, "is_admin": account.is_admin}


def text_field(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise InvalidBody(f"the body must be an object with a string {name!r}")
    return value


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""
