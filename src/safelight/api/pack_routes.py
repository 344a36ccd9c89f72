"""Routes of node packs: authenticated, checked for their origin, and passed to a worker.

A pack gets the caller's id as ``Comfy-User`` and none of the caller's credentials, and it cannot set cookies. Its code
was not written for servers with several users: methods that change something are for administrators, unless the
operator allows them for users.
"""

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.contract import Operation, Shape
from safelight.api.error_responses import Unauthenticated, error_response
from safelight.api.origin import Origins
from safelight.api.request_body import read_body
from safelight.api.request_path import decoded_path, raw_path
from safelight.core.errors import Forbidden
from safelight.core.user import Principal
from safelight.dispatch.pack_requests import READING
from safelight.settings import Settings
from safelight.wire.messages import MAX_PACK_BODY_BYTES

_PACKS = Operation(id="packs", method="*", path="*", shapes=dict.fromkeys((403, 413), Shape.ERROR))
_WITHHELD_HEADERS = frozenset(
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
_DROPPED_HEADERS = frozenset({"set-cookie", "content-security-policy", "x-content-type-options"})


async def answer_pack_route(
    app: App, request: Request, authenticator: Authenticator, origins: Origins
) -> Response | None:
    """The response of the pack that has this route; ``None`` where no pack has it."""
    path = decoded_path(request.scope)
    pack = app.dispatcher.pack_of_route(request.method, path)
    if pack is None or _rule(app.settings, pack) == "off":
        return None
    try:
        await origins.check(request)
        principal = await authenticator.authenticate(request)
        if principal is None:
            raise Unauthenticated
        _check(app.settings, pack, request.method, principal)
        body = await read_body(request, limit=min(app.settings.limits.max_upload_bytes, MAX_PACK_BODY_BYTES))
        pack_response = await app.dispatcher.request_pack(
            principal.user_id,
            method=request.method,
            path=path,
            target=_target(request),
            headers={k: v for k, v in request.headers.items() if k not in _WITHHELD_HEADERS},
            body=body,
        )
    except Exception as error:  # a boundary: any exception becomes a response
        return error_response(error, _PACKS)
    response = Response(pack_response.body, pack_response.status)
    kept = [(k, v) for k, v in pack_response.headers if k.lower() not in _DROPPED_HEADERS]
    if any(k.lower() == "content-type" for k, _ in kept):
        del response.headers["content-type"]
    for name, value in kept:
        response.headers.append(name, value)
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _rule(settings: Settings, pack: str) -> str:
    rules = settings.packs.pack_rules
    return rules.get(pack, rules.get("*", "user"))


def _check(settings: Settings, pack: str, method: str, principal: Principal) -> None:
    """Raises :class:`Forbidden`."""
    if principal.is_admin:
        return
    if _rule(settings, pack) == "admin":
        raise Forbidden(f"only administrators may use the routes of the node pack {pack!r}")
    if method not in READING and not {pack, "*"} & set(settings.packs.pack_routes_changed_by_users):
        raise Forbidden(
            f"only administrators may send {method} to the node pack {pack!r}, unless the setting "
            "pack_routes_changed_by_users includes the pack"
        )


def _target(request: Request) -> str:
    path = raw_path(request.scope).decode("latin-1")
    parts = request.scope["query_string"].decode("latin-1").split("&")
    query = "&".join(part for part in parts if part.partition("=")[0] != "token")  # the caller's credential
    return f"{path}?{query}" if query else path
