"""The door to routes that node packs bring: behind sign-in and the check of origins, passed on to a worker.

A pack gets the caller's id as ``Comfy-User`` and none of the caller's credentials, and it cannot set cookies. Its code
was not written for servers of several users: what changes something is for administrators, unless the operator says
otherwise.
"""

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.contract import Operation, Shape
from safelight.api.errors import Unauthenticated, error_response
from safelight.api.origin import Origins
from safelight.api.request_body import read_body
from safelight.core.errors import Forbidden
from safelight.core.user import Principal
from safelight.dispatch.pack_routes import READING
from safelight.settings import Settings
from safelight.wire.messages import MAX_PACK_BODY_BYTES

_PACKS = Operation(id="packs", method="*", path="*", shapes=dict.fromkeys((403, 413), Shape.ERROR))
_KEPT_BACK = frozenset(
    {
        "authorization",
        "cookie",
        "x-api-key",
        "comfy-user",
        "safelight-request",
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
    }
)
_NOT_PASSED_ON = frozenset({"set-cookie", "content-security-policy", "x-content-type-options"})


async def answer_pack_route(
    app: App, request: Request, authenticator: Authenticator, origins: Origins
) -> Response | None:
    """``None`` where no pack has such a route."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    pack = app.dispatcher.pack_of_route(request.method, path)
    if pack is None or _rule(app.settings, pack) == "off":
        return None
    try:
        await origins.check(request)
        principal = await authenticator.authenticate(request)
        if principal is None:
            raise Unauthenticated
        _check(app.settings, pack, request.method, principal)
        body = await read_body(request, limit=min(app.settings.max_upload_bytes, MAX_PACK_BODY_BYTES))
        answer = await app.dispatcher.ask_pack(
            principal.user_id,
            method=request.method,
            path=path,
            target=_target(request),
            headers={k: v for k, v in request.headers.items() if k not in _KEPT_BACK},
            body=body,
        )
    except Exception as error:  # the door: whatever fails becomes an answer
        return error_response(error, _PACKS)
    response = Response(answer.body, answer.status)
    kept = [(k, v) for k, v in answer.headers if k.lower() not in _NOT_PASSED_ON]
    if any(k.lower() == "content-type" for k, _ in kept):
        del response.headers["content-type"]
    for name, value in kept:
        response.headers.append(name, value)
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _rule(settings: Settings, pack: str) -> str:
    rules = settings.pack_rules
    return rules.get(pack, rules.get("*", "user"))


def _check(settings: Settings, pack: str, method: str, principal: Principal) -> None:
    """Raises :class:`Forbidden`."""
    if principal.is_admin:
        return
    if _rule(settings, pack) == "admin":
        raise Forbidden(f"the routes of the node pack {pack!r} are for administrators")
    if method not in READING and not {pack, "*"} & set(settings.pack_routes_changed_by_users):
        raise Forbidden(
            f"{method} to the node pack {pack!r} is for administrators, unless the setting "
            "pack_routes_changed_by_users names the pack"
        )


def _target(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.partition(b"?")[0].removeprefix(request.scope.get("root_path", "").encode()).decode("latin-1")
    parts = request.scope["query_string"].decode("latin-1").split("&")
    query = "&".join(part for part in parts if part.partition("=")[0] != "token")  # a credential of the caller's
    return f"{path}?{query}" if query else path
