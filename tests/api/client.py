"""Requests and sockets against the ASGI application itself. Every response is checked against the contract's schema."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

from safelight.api import contract as contracts
from safelight.api.contract import Shape
from safelight.api.routes import build_router

CONTRACT = contracts.load()
V2 = contracts.load_v2()
_ROUTER = build_router(CONTRACT, V2)
_ANY_VALUE = {"getSettingById", "updateSettingById"}
"""The contract types a setting's value as an object; a setting holds any JSON."""

_ERRORS = {
    Shape.ERROR: {"code", "message"},
    Shape.MESSAGE: {"message"},
    Shape.PROMPT: {"error", "node_errors"},
    Shape.ENVELOPE: {"error"},
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """``peer``: the address at the other end of the connection."""

    def __init__(self, app: ASGIApp, *, host: str = "127.0.0.1:8188", peer: str = "127.0.0.1") -> None:
        self._app = app
        self._host = host
        self._peer = peer

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def post(self, path: str, content: Any = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """``content``: bytes are sent unchanged, anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.request("POST", path, body, headers=headers)

    async def request(
        self, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent: list[Message] = []
        parts = [body[:3], body[3:]]

        async def receive() -> Message:
            if not parts:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            sent.append(message)

        given = {"host": self._host, **({"content-length": str(len(body))} if body else {}), **(headers or {})}
        scope = scope_of("http", path, given) | {"method": method, "client": (self._peer, 1)}
        await self._app(scope, receive, send)
        answer = _answer(sent)
        check(method, path, answer)
        return answer

    async def upload(
        self,
        path: str,
        fields: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        **files: tuple[str, bytes],
    ) -> Answer:
        parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
        parts += [(f'name="{name}"; filename="{filename}"', data) for name, (filename, data) in files.items()]
        body = b"".join(
            b"--frontier\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"
            for head, data in parts
        )
        given = {"content-type": "multipart/form-data; boundary=frontier", **(headers or {})}
        return await self.request("POST", path, body + b"--frontier--\r\n", headers=given)

    async def connect(self, path: str = "/ws", headers: Mapping[str, str] | None = None) -> "Connection":
        connection = Connection(self._app, scope_of("websocket", path, {"host": self._host, **(headers or {})}))
        await connection.open()
        return connection


class Connection:
    """A client's end of a WebSocket. ``status``: of a refused handshake."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self._from_server: asyncio.Queue[Message] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self._app, self._scope = app, scope
        self.status = 101

    async def open(self) -> None:
        self._task = asyncio.create_task(self._app(self._scope, self._to_server.get, self._take))
        self._to_server.put_nowait({"type": "websocket.connect"})
        message = await self._from_server.get()
        if message["type"] == "websocket.http.response.start":
            self.status = message["status"]
        elif message["type"] == "websocket.close":
            self.status = 403

    async def _take(self, message: Message) -> None:
        await self._reads.wait()
        self._from_server.put_nowait(message)

    def stop_reading(self) -> None:
        """Stop reading, as a client on a suspended machine does: the server's sends do not return."""
        self._reads.clear()

    def say(self, kind: str, data: Any) -> None:
        self.say_text(json.dumps({"type": kind, "data": data}))

    def say_text(self, text: str) -> None:
        self._to_server.put_nowait({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        """The next message: parsed JSON, or bytes."""
        message = await asyncio.wait_for(self._from_server.get(), timeout=60)
        if message["type"] == "websocket.close":
            raise ConnectionResetError(message.get("code"))
        return json.loads(message["text"]) if message.get("text") is not None else message["bytes"]

    async def hear_until(self, kind: str, **data: Any) -> list[Any]:
        """All messages up to one of that type whose data has these values."""
        heard = []
        while True:
            heard.append(message := await self.hear())
            is_it = isinstance(message, dict) and message["type"] == kind
            if is_it and all(message["data"].get(name, ...) == value for name, value in data.items()):
                return heard

    def heard_so_far(self) -> list[Any]:
        messages = [self._from_server.get_nowait() for _ in range(self._from_server.qsize())]
        return [json.loads(m["text"]) if m.get("text") is not None else m.get("bytes") for m in messages]

    async def close(self) -> None:
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self._task, timeout=60)

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, timeout=60)


def check(method: str, path: str, answer: Answer) -> None:
    """Check a response against what the contract declares for its operation."""
    if method == "HEAD" or "%ff" in path:
        return
    match = _ROUTER.find(path.partition("?")[0].encode())
    if match is None or method not in match.endpoints or not path.startswith(("/api/", "/internal/", "/health")):
        return
    operation = match.endpoints[method][0].operation
    if answer.status >= 400:
        shape = operation.shape(answer.status)
        if shape is Shape.TEXT:
            assert answer.headers["content-type"].startswith("text/plain")
        else:
            assert set(answer.json) == _ERRORS[shape], (path, answer.body)
        return
    schema = operation.responses.get(answer.status)
    if schema is not None and operation.id not in _ANY_VALUE and "content-encoding" not in answer.headers:
        assert schema.problem(answer.json) is None, (path, schema.problem(answer.json))
        assert answer.headers["content-type"] == "application/json"


def _answer(sent: list[Message]) -> Answer:
    start, *rest = sent
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


def scope_of(kind: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    raw, _, query = path.partition("?")
    return {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "http_version": "1.1",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if kind == "websocket" else {},
    }
