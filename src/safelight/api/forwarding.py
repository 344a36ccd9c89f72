"""Passing requests on to the server that leads, where several servers share a database and this one does not lead.

Only what needs the workers, or what is one for the whole installation, goes there; sockets, lists, files and settings
are answered here. The leader sees the client's own request: its credentials, the host that it named, and its address,
which it believes where its setting ``trusted_proxies`` names this server.
"""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight.core.errors import Unavailable

if TYPE_CHECKING:
    import aiohttp

CONNECT_S = 2.0
SILENCE_S = 900.0
"""A download that somebody waits for says nothing until it ends."""
MARK = "x-safelight-forwarded"

OPERATIONS = frozenset(
    {"executePrompt", "freeMemory", "getSystemStats"}
    | {"seedAssets", "getAssetSeedStatus", "cancelAssetSeed", "pruneAssets"}
    | {"getExtensions", "getI18n", "getWorkflowTemplates"}
    | {"GET /api/admin/packs", "GET /api/admin/schedule", "PUT /api/admin/schedule/slots/{slot}"}
)
OPERATIONS_WITH_JSON = frozenset({"uploadAsset"})
"""With a JSON body they ask for a download, which the leader does; a form holds the file itself."""
_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "content-length", "host", "expect"}
)


class Forwarder:
    """Mutable: the session, made with the first request. ``leader``: where another server leads, its address."""

    def __init__(self, leader: Callable[[], str | None]) -> None:
        self._leader = leader
        self._session: aiohttp.ClientSession | None = None

    def wants(self, request: Request, operation_id: str) -> bool:
        if self._leader() is None or MARK in request.headers:
            return False
        if operation_id in OPERATIONS_WITH_JSON:
            return not request.headers.get("content-type", "").startswith("multipart/form-data")
        return operation_id in OPERATIONS

    def wants_beside_the_api(self, request: Request) -> bool:
        """What node packs answer, and the files of their web folders, are known to the leader alone."""
        return self._leader() is not None and MARK not in request.headers

    async def forward(self, request: Request) -> Response | None:
        """The leader's answer; ``None`` where it cannot be reached, with nothing of the body read.

        Raises :class:`Unavailable` where the leader went away in the middle.
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
            answer = await self._session.request(
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
        return _Passed(answer)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Passed(Response):
    """The leader's answer as it comes."""

    def __init__(self, answer: "aiohttp.ClientResponse") -> None:
        super().__init__(status_code=answer.status)
        self._answer = answer
        kept = [(n.lower(), v) for n, v in answer.raw_headers if n.lower().decode() not in _HOP - {"content-length"}]
        self.raw_headers = kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in self._answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._answer.close()


def _headers(request: Request) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in request.headers.items() if name not in _HOP]
    forwarded = [("X-Forwarded-Proto", request.url.scheme), (MARK, "1")]
    if (host := request.headers.get("host")) is not None:
        forwarded += [("X-Forwarded-Host", host), ("Host", host)]
    if request.client is not None:
        forwarded.append(("X-Forwarded-For", request.client.host))
    return [*kept, *forwarded]


def _target(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    path = raw.partition(b"?")[0].removeprefix(request.scope.get("root_path", "").encode())
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _body(request: Request) -> AsyncIterator[bytes] | None:
    has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
    return _stream(request) if has_body else None


async def _stream(request: Request) -> AsyncIterator[bytes]:
    """Without the empty chunk at the end, which would end the request's body on the way as well."""
    async for chunk in request.stream():
        if chunk:
            yield chunk
