"""The request pipeline: paths, methods, Origin and Host, errors in each form, and every operation routed."""

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response
from tests.api.client import Client
from tests.api.conftest import Server

from safelight.api.api_request import ApiRequest
from safelight.api.contract import Operation, Shape
from safelight.api.forwarding import Forwarder
from safelight.api.handler import as_handler
from safelight.api.origin import Origins
from safelight.api.pipeline import Endpoint, Pipeline
from safelight.api.routing import Router
from safelight.core.errors import Conflict, Forbidden, NotFound, Unavailable
from safelight.core.user import Principal

pytestmark = pytest.mark.anyio

FAR = {"origin": "http://evil.example"}


@pytest.mark.parametrize("path", ["/api/nothing", "/internal/nothing", "/v2/nothing", "/api/", "/api/userdata/"])
async def test_unknown_path_of_the_api_is_404(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/", "/assets/index.js", "/nothing"])
async def test_all_else_belongs_to_the_web_ui(client: Client, path: str) -> None:
    assert (await client.get(path)).text == f"the web UI's {path}"


async def test_assets_have_no_spelling_at_the_root(client: Client) -> None:
    assert (await client.get("/assets")).text == "the web UI's /assets"
    assert (await client.get("/api/assets")).json["assets"] == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/prompt", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/api/queue", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/internal/logs/subscribe", "OPTIONS, PATCH"),
        ("GET", "/api/assets/hash/blake3:x", "HEAD, OPTIONS"),
    ],
)
async def test_unknown_method_is_405(client: Client, method: str, path: str, allow: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


async def test_options_and_head(client: Client) -> None:
    assert (await client.request("OPTIONS", "/prompt")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    head = await client.request("HEAD", "/api/queue")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len((await client.get("/api/queue")).body))


async def test_path_that_is_not_utf_8_is_404(client: Client) -> None:
    assert (await client.get("/api/jobs/%ff")).status == 404


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://127.0.0.1:8188", "127.0.0.1:8188", 200),
        ("https://127.0.0.1:8188", "127.0.0.1:8188", 200),
        ("http://localhost", "localhost:80", 200),
        ("http://[::1]:8188", "[::1]:8188", 200),
        ("http://127.0.0.1:9999", "127.0.0.1:8188", 403),
        ("http://localhost:8188", "127.0.0.1:8188", 403),
        ("http://evil.example", "127.0.0.1:8188", 403),
        ("null", "127.0.0.1:8188", 403),
        ("http://[::1", "127.0.0.1:8188", 403),
        ("", "127.0.0.1:8188", 403),
    ],
)
async def test_origin_must_be_the_server_s_own(server: Server, origin: str, host: str, status: int) -> None:
    client = Client(server.app, host=host)
    for method, path in (("GET", "/queue"), ("POST", "/api/interrupt")):
        assert (await client.request(method, path, headers={"origin": origin})).status == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8188", 200), ("127.0.0.9", 200), ("app.localhost", 200), ("evil.example:8188", 403), ("[", 403)],
)
async def test_loopback_server_answers_to_loopback_names_alone(server: Server, host: str, status: int) -> None:
    """A page whose name was rebound to 127.0.0.1 has an ``Origin`` that matches."""
    client = Client(server.app, host=host)
    assert (await client.get("/api/queue")).status == status
    assert (await client.connect("/ws")).status == (101 if status == 200 else 403)


async def test_plain_request_to_the_socket_is_400(client: Client) -> None:
    assert (await client.get("/ws")).status == 400


async def test_too_large_body_is_refused_by_its_length_and_by_its_bytes(client: Client) -> None:
    body = b'{"delete": ["' + b"x" * 100_000 + b'"]}'
    for headers in ({}, {"content-length": "10"}):
        answer = await client.post("/api/queue", body, headers=headers)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")


async def test_form_where_json_is_wanted_is_400(client: Client) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert (await client.post("/api/queue", b"--b--", headers=headers)).status == 400


class Nobody:
    async def is_open(self) -> bool:
        return False

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        return None

    async def changed(self) -> None:
        await asyncio.Event().wait()

    async def follow(self) -> None:
        await asyncio.Event().wait()


def pipeline_client(operation: Operation, outcome: Exception | Response, server: Server) -> Client:
    """A client of a pipeline with one operation, whose handler returns or raises ``outcome``."""

    async def handler(app: object, request: ApiRequest) -> Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    router: Router[Endpoint] = Router()
    router.add("GET", "/x", Endpoint(operation, as_handler(handler)))
    pipeline = Pipeline(
        server.app._app, router, Nobody(), Origins(server.app._app.settings, Nobody()), Forwarder(lambda: None)
    )

    async def app(scope: object, receive: object, send: object) -> None:
        await pipeline.handle(scope, receive, send)  # type: ignore[arg-type]

    return Client(app)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("gone"), 404),
        (Conflict("busy"), 400),
        (Forbidden("no"), 403),
        (Unavailable("later"), 503),
        (RuntimeError("a secret"), 500),
    ],
)
@pytest.mark.parametrize(
    ("shape", "keys"),
    [(Shape.ERROR, {"code", "message"}), (Shape.MESSAGE, {"message"}), (Shape.PROMPT, {"error", "node_errors"})],
)
async def test_errors_have_the_shape_of_their_operation(
    server: Server, error: Exception, status: int, shape: Shape, keys: set[str]
) -> None:
    operation = Operation("x", "GET", "/x", default_shape=shape)
    answer = await pipeline_client(operation, error, server).get("/x")
    assert (answer.status, set(answer.json)) == (status, keys)
    assert "secret" not in answer.text


async def test_declared_statuses_decide(server: Server) -> None:
    operation = Operation("x", "GET", "/x", shapes={409: Shape.TEXT})
    answer = await pipeline_client(operation, Conflict("busy"), server).get("/x")
    assert (answer.status, answer.text) == (409, "busy")


async def test_caller_without_credentials(server: Server) -> None:
    operation = Operation("x", "GET", "/x", security=(frozenset({"ApiKeyAuth"}),))
    refused = await pipeline_client(operation, Response(), server).get("/x")
    assert (refused.status, refused.json["code"]) == (401, "unauthorized")
    assert "www-authenticate" in refused.headers
    for security in ((), (frozenset({"ApiKeyAuth"}), frozenset[str]())):
        assert (
            await pipeline_client(replace(operation, security=security), Response(), server).get("/x")
        ).status == 200
