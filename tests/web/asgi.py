"""One request to an ASGI application, without a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message

from safelight.web.site import Web


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(app: ASGIApp, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope(path, headers, method=method), receive, send)
    start, *rest = sent
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], names, b"".join(message["body"] for message in rest))


async def fetch_blueprints(web: Web, headers: Mapping[str, str] | None = None) -> Answer:
    """The response of the web UI to an API request, as the API's handler gets it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = await web.global_subgraphs(Request(scope))
        await response(scope, receive, send)

    return await fetch(app, "/api/global_subgraphs", headers)


def scope(path: str, headers: Mapping[str, str] | None, *, method: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }
