"""Pages of other origins that the operator allows: they may call the API with keys, and show files.

A browser asks before it sends what such a page wants (the preflight), and shows the page an answer only if the answer
names its origin. A session's cookie never counts for these pages: a page of another origin acts by a key that it was
given, and not by what the browser happens to hold.
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

    def admitted(self, scope: Scope) -> Scope:
        """The scope as the rest of the server should see it: marked, and without cookies, if an allowed page asks."""
        origin = self._origin_of(scope) if self._allowed else None
        if origin is None:
            return scope
        kept = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
        return {**scope, "headers": kept, ALLOWED_PAGE: origin}

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a browser that asks whether an allowed page may send a request; ``None`` if it asks no such
        thing."""
        headers = Headers(scope=scope)
        if ALLOWED_PAGE not in scope or scope["method"] != "OPTIONS":
            return None
        if "access-control-request-method" not in headers:
            return None
        answer = {"access-control-allow-methods": _METHODS, "access-control-max-age": _PREFLIGHT_S}
        if wanted := headers.get("access-control-request-headers"):
            answer["access-control-allow-headers"] = wanted
        return Response(status_code=204, headers=answer)

    def sender(self, scope: Scope, send: Send) -> Send:
        """``send`` for an allowed page's request: answers name its origin."""
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
        """Of the page that asks, if it is an allowed one of another origin. An ``<img>`` names its page as referrer."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            page = urlsplit(headers.get("referer", ""))
            origin = f"{page.scheme}://{page.netloc}"
        if origin not in self._allowed or is_same_host(origin, headers.get("host", ""), scope["scheme"]):
            return None
        return origin
