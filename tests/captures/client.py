"""A client of a real server: requests sent as they were captured, and sockets that record their messages."""

import http.client
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from websockets.sync.client import ClientConnection, connect

TIMEOUT_S = 180.0
BOUNDARY = "captured"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, request: str, body: bytes = b"", *, headers: Mapping[str, str] = JSON) -> Answer:
    """``request``: a method and a path, which is sent unchanged."""
    method, path = request.split(" ", 1)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(url: str, path: str, body: Any) -> Answer:
    return ask(url, f"POST {path}", json.dumps(body).encode())


def upload(url: str, path: str, fields: Mapping[str, str], files: Mapping[str, tuple[str, str, bytes]]) -> Answer:
    """Send a form; each file is its name, type and bytes."""
    body = b"".join(_part(f'name="{name}"', value.encode()) for name, value in fields.items())
    for name, (filename, kind, content) in files.items():
        body += _part(f'name="{name}"; filename="{filename}"\r\nContent-Type: {kind}', content)
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return ask(url, f"POST {path}", body + f"--{BOUNDARY}--\r\n".encode(), headers=headers)


def picture(color: Sequence[int]) -> bytes:
    """A picture of one colour, as it was uploaded for the capture."""
    file = io.BytesIO()
    Image.new("RGBA", (64, 48), tuple(color)).save(file, "PNG")
    return file.getvalue()


def _part(about: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {about}\r\n\r\n".encode() + content + b"\r\n"


def submit(url: str, body: Mapping[str, Any]) -> str:
    """Submit a prompt and return the id of its job."""
    answer = post(url, "/prompt", body)
    assert answer.status == 200, answer.body
    return str(answer.json["prompt_id"])


@dataclass
class Socket:
    """Mutable: messages that were received and not taken yet. Binary messages are bytes."""

    connection: ClientConnection
    heard: list[Any] = field(default_factory=list)

    def say(self, message: str | bytes) -> None:
        self.connection.send(message)

    def hear(self) -> Any:
        message = self.connection.recv(timeout=TIMEOUT_S)
        self.heard.append(json.loads(message) if isinstance(message, str) else message)
        return self.heard[-1]

    def until(self, is_last: Callable[[Any], bool]) -> list[Any]:
        """All messages since the last call, up to and including the one that ``is_last``."""
        while not (self.heard and is_last(self.heard[-1])):
            self.hear()
        return self.take()

    def take(self) -> list[Any]:
        taken, self.heard = self.heard, []
        return taken


@contextmanager
def listening(url: str, client_id: str | None = None) -> Iterator[Socket]:
    """A socket that has received its greeting, which :meth:`Socket.take` returns."""
    query = "" if client_id is None else f"?clientId={client_id}"
    with connect(url.replace("http", "ws", 1) + "/ws" + query) as connection:
        socket = Socket(connection)
        socket.hear()
        yield socket


def wait_until_idle(url: str, socket: Socket) -> None:
    """Wait until no job waits or runs; every end is recorded."""
    while ask(url, "GET /prompt").json["exec_info"]["queue_remaining"]:
        socket.hear()


def is_over(message: Any) -> bool:
    """Whether it is the last message of a job to its client."""
    return isinstance(message, dict) and message["type"] == "executing" and message["data"]["node"] is None


def is_idle(message: Any) -> bool:
    """Whether it is the status of an empty queue."""
    return (
        isinstance(message, dict)
        and message["type"] == "status"
        and message["data"]["status"]["exec_info"]["queue_remaining"] == 0
    )
