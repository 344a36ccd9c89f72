"""``/api/auth/oidc/*``: signing in and out at an identity provider."""

import base64
import binascii
import logging
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from safelight.api.account.session import begin_session_in, cookie_attributes
from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.handler import unchecked_body
from safelight.core.errors import Invalid, NotFound
from safelight.core.user import Account
from safelight.db.transaction import Transaction
from safelight.services import sign_on
from safelight.services.sign_on import Attempt, SignOn, SignOnFailed

log = logging.getLogger(__name__)

COOKIE = "sign_on"
_LIFETIME_S = 600
_LARGEST_BODY = 64 * 1024
_NO_STORE = {"cache-control": "no-store"}


async def begin_sign_on(app: App, request: ApiRequest) -> Response:
    """Send the browser to the provider."""
    provider = _provider(app)
    try:
        address, attempt = await provider.begin(redirect_uri=_callback(app, request.http))
    except SignOnFailed as error:
        return _back_to_login(app, request.http, error)
    response = RedirectResponse(address, 303, _NO_STORE)
    text = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode()
    response.set_cookie(COOKIE, text, max_age=_LIFETIME_S, **cookie_attributes(app, request.http))
    return response


async def finish_sign_on(app: App, request: ApiRequest) -> Response:
    """The browser returns from the provider: begin a session."""
    provider, now = _provider(app), request.now
    try:
        proven = await provider.finish(
            _attempt(request.http.cookies.get(COOKIE)),
            answer=dict(request.http.query_params),
            redirect_uri=_callback(app, request.http),
        )

        def admit(tx: Transaction) -> Account | SignOnFailed:
            try:
                return sign_on.admit(tx, proven, rules=provider.rules, now=now)
            except SignOnFailed as error:
                if error.code == "group":
                    sign_on.end_all(tx, proven.identity, now=now)
                return error

        admitted = await app.db.write(admit)
        if isinstance(admitted, SignOnFailed):
            raise admitted
    except SignOnFailed as error:
        return _without_attempt(_back_to_login(app, request.http, error), app, request.http)
    response = _without_attempt(RedirectResponse(f"{_base(app, request.http)}/", 303, _NO_STORE), app, request.http)
    await begin_session_in(response, app, request.http, admitted, id_token=proven.id_token)
    return response


@unchecked_body
async def sign_out_there(app: App, request: ApiRequest) -> Response:
    """The provider says that a user has signed out there: end their sessions here."""
    body = await request.read(limit=_LARGEST_BODY)
    tokens = parse_qs(body.decode("ascii", "replace")).get("logout_token", [])
    identity = await _provider(app).signed_out_there(tokens[0]) if len(tokens) == 1 else None
    if identity is None:
        raise Invalid("invalid logout token")
    await app.db.write(lambda tx: sign_on.end_sessions(tx, identity, now=request.now))
    return Response(status_code=204, headers=_NO_STORE)


def _without_attempt(response: Response, app: App, request: Request) -> Response:
    """An answer of the provider counts once."""
    response.delete_cookie(COOKIE, **cookie_attributes(app, request))
    return response


def _provider(app: App) -> SignOn:
    if app.sign_on is None:
        raise NotFound("this server has no identity provider")
    return app.sign_on


def _attempt(text: str | None) -> Attempt | None:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text or ""), type=Attempt)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return None


def _base(app: App, request: Request) -> str:
    """The server's address as browsers know it."""
    if app.settings.server.public_url:
        return app.settings.server.public_url
    parts = urlsplit(str(request.url))
    return f"{parts.scheme}://{parts.netloc}{request.scope.get('root_path', '')}"


def _callback(app: App, request: Request) -> str:
    return f"{_base(app, request)}/api/auth/oidc/callback"


def _back_to_login(app: App, request: Request, error: SignOnFailed) -> Response:
    """The page words the code; the message is for the log, as it may have words of strangers."""
    log.warning("a sign-on failed: %s", error)
    return RedirectResponse(f"{_base(app, request)}/login#sign-on={error.code}", 303, _NO_STORE)
