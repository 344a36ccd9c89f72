"""No invalid request makes the server fail: every operation with junk in its path, query and body."""

import random
from collections.abc import Iterator

import pytest
from tests.api.client import CONTRACT
from tests.api.conftest import Server

from safelight.api.contract import Operation

pytestmark = pytest.mark.anyio

TEXTS = [
    "",
    "0",
    "-1",
    "1e9",
    "null",
    "a" * 300,
    "..",
    "../../etc/passwd",
    "%00",
    "%ff",
    "ü",
    "'; --",
    "a,b",
    "\U0001f5bc",
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"1e400",
    b"\xff\xfe",
    b'{"a": "\\ud800"}',
    b"[" * 5000,
    b'{"delete": [1], "clear": "x"}',
    b'{"prompt": {"1": null}, "extra_data": []}',
    b'{"prompt": {"1": {"class_type": ["x"], "inputs": {"a": [["1", 0]]}}}}',
    b'{"prompt": {"1": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}}',
    b'{"prompt": {"1": {"class_type": "EmptyImage", "inputs": 5}}, "number": 1e400}',
    b'{"clientId": {}, "enabled": 1}',
    b'{"unload_models": "x"}',
]


@pytest.mark.parametrize("operation", CONTRACT.operations.values(), ids=lambda o: o.id)
async def test_junk_is_the_client_s_mistake(server: Server, operation: Operation) -> None:
    for path, body in requests(operation, random.Random(operation.id)):
        answer = await server.client.request(operation.method, path, body)
        assert answer.status < 500 or answer.status == 501, (path, body, answer.body)


def requests(operation: Operation, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    names = [p for p in operation.parameters if p.location == "query"]
    for _ in range(20):
        path = operation.path
        for parameter in operation.parameters:
            if parameter.location == "path":
                path = path.replace(f"{{{parameter.name}}}", escaped(chance.choice(TEXTS[1:])))
        query = "&".join(f"{p.name}={escaped(chance.choice(TEXTS))}" for p in names if chance.random() < 0.5)
        yield f"{path}?{query}", chance.choice(BODIES) if operation.method != "GET" else b""


def escaped(text: str) -> str:
    """Percent-encode where necessary; what is encoded already stays unchanged."""
    return (
        text
        if text.startswith("%")
        else "".join(c if c.isascii() and c.isalnum() else f"%{c.encode().hex('%')}" for c in text)
    )
