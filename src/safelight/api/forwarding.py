"""Forwarding requests to the server that leads, where several servers share a database and this one does not lead.

Handlers declare that they need the leader (``on_leader`` in ``api/handler.py``): they need the workers, or do something
once for the whole installation. Sockets, lists, files and settings are served by every server. The leader receives the
client's own request: its credentials, its ``Host``, and its address, which the leader trusts where its setting
``trusted_proxies`` includes this server.
"""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight.api.request_path import raw_path
from safelight.core.errors import Unavailable
from safelight.core.trace_context import current_traceparent

if TYPE_CHECKING:
    import aiohttp

CONNECT_S = 2.0
SILENCE_S = 900.0
"""A download whose client waits for it sends nothing until it ends."""
MARK = "x-safelight-forwarded"

_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "content-length", "host", "expect"}
)


class Forwarder:
    """``leader``: returns the address of the server that leads; ``None`` if this one does.

    Mutable: the HTTP session, made for the first request."""

    def __init__(self, leader: Callable[[], str | None]) -> None:
        self._leader = leader
        self._session: aiohttp.ClientSession | None = None

    def can_forward(self, request: Request) -> bool:
        """Whether another server leads and the request has not been forwarded already."""
        return self._leader() is not None and MARK not in request.headers

    async def forward(self, request: Request) -> Response | None:
        """The leader's response; ``None``, with nothing of the body read, where the leader cannot be reached.

        Raises :class:`Unavailable` where the connection to the leader breaks.
        """
        import aiohttp
        from yarl import URL

        address = self._leader()
        if address is None:
            return None
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
            self._session = aiohttp.ClientSession(
                timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            response = await self._session.request(
                request.method,
                URL(address + _target(request), encoded=True),
                headers=_headers(request),
                data=_body(request),
                allow_redirects=False,
                skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
            )
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the server that leads did not answer: {error or type(error).__name__}") from error
        return _Forwarded(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Forwarded(Response):
    """Streams the leader's response."""

    def __init__(self, response: "aiohttp.ClientResponse") -> None:
        super().__init__(status_code=response.status)
        self._response = response
        kept = [(n.lower(), v) for n, v in response.raw_headers if n.lower().decode() not in _HOP - {"content-length"}]
        self.raw_headers = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in self._response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._response.close()


def _headers(request: Request) -> list[tuple[str, str]]:
    own = {"traceparent": current_traceparent.get()} if current_traceparent.get() else {}
    kept = [(name, value) for name, value in request.headers.items() if name not in _HOP and name not in own]
    kept += own.items()
    forwarded = [("X-Forwarded-Proto", request.url.scheme), (MARK, "1")]
    if (host := request.headers.get("host")) is not None:
        forwarded += [("X-Forwarded-Host", host), ("Host", host)]
    if request.client is not None:
        forwarded.append(("X-Forwarded-For", request.client.host))
    return [*kept, *forwarded]


def _target(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return (raw_path(request.scope) + (b"?" + query if query else b"")).decode("latin-1")


def _body(request: Request) -> AsyncIterator[bytes] | None:
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    return _stream(request) if has_body else None


async def _stream(request: Request) -> AsyncIterator[bytes]:
    """Skip the empty chunk at the end, which would end the forwarded body early."""
    async for chunk in request.stream():
        if chunk:
            yield chunk
