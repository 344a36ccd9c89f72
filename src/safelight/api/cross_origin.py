"""Pages of other origins that the operator allows: they may call the API with keys, and show files.

Before it sends such a page's request, a browser asks for permission (the preflight), and it gives the page a response
only if this names the page's origin. Session cookies are ignored for these pages: a page of another origin needs a key
that it was given, and cannot use the session that the browser has.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from safelight.api.origin import ALLOWED_PAGE, is_same_host

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_PREFLIGHT_S = "600"
_EXPOSED = "Content-Disposition, Content-Length, Content-Range, ETag, Location, Retry-After"


class CrossOrigin:
    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)

    def mark(self, scope: Scope) -> Scope:
        """Return the scope for the rest of the server; for a request of an allowed page it is marked and has no
        cookies."""
        origin = self._origin_of(scope) if self._allowed else None
        if origin is None:
            return scope
        kept = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        return {**scope, "headers": kept, ALLOWED_PAGE: origin}

    def preflight(self, scope: Scope) -> Response | None:
        """The response to a preflight for an allowed page; ``None`` if the request is not a preflight."""
        headers = Headers(scope=scope)
        if ALLOWED_PAGE not in scope or scope["method"] != "OPTIONS":
            return None
        if "access-control-request-method" not in headers:
            return None
        allowed = {"access-control-allow-methods": _METHODS, "access-control-max-age": _PREFLIGHT_S}
        if wanted := headers.get("access-control-request-headers"):
            allowed["access-control-allow-headers"] = wanted
        return Response(status_code=204, headers=allowed)

    def sender(self, scope: Scope, send: Send) -> Send:
        """Wrap ``send`` so that responses to an allowed page name its origin."""
        origin = scope.get(ALLOWED_PAGE)
        if origin is None:
            return send

        async def send_with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["access-control-allow-origin"] = origin
                headers["access-control-expose-headers"] = _EXPOSED
                headers.add_vary_header("Origin")
                if "cross-origin-resource-policy" in headers:
                    headers["cross-origin-resource-policy"] = "cross-origin"
            await send(message)

        return send_with_origin

    def _origin_of(self, scope: Scope) -> str | None:
        """The origin of the requesting page, if it is an allowed page of another origin. For an ``<img>``, the referrer
        names the page."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            page = urlsplit(headers.get("referer", ""))
            origin = f"{page.scheme}://{page.netloc}"
        if origin not in self._allowed or is_same_host(origin, headers.get("host", ""), scope["scheme"]):
            return None
        return origin
