"""The HTTP door: routes a request by the contract, decodes it, asks who calls, runs the handler, words what failed.

Pure ASGI, without middleware: each step stands in :meth:`Pipeline._answer`, in the order in which it happens.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from safelight.api.api_request import ApiRequest, Handler
from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.content_encoding import decoded
from safelight.api.contract import Operation, Shape
from safelight.api.deadline import attended
from safelight.api.errors import Unauthenticated, error_response, shaped
from safelight.api.forwarding import Forwarder
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.origin import Origins
from safelight.api.parameters import decode_path, decode_query
from safelight.api.request_body import InvalidBody, parse_json, read_body
from safelight.api.responses import PRIVATE
from safelight.api.routing import Router
from safelight.core.errors import NotFound

log = logging.getLogger(__name__)

ANY = Operation(id="any", method="*", path="*")
"""Stands for the operation where none matched: errors are ``{"code", "message"}``."""
_SAFE = ("GET", "HEAD")
"""These change nothing, so that nothing is lost when they are cancelled."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``checks_body``: the body is validated by the contract's schema; else the handler reads it in its own way."""

    operation: Operation
    handler: Handler
    checks_body: bool = True


class Pipeline:
    def __init__(
        self,
        app: App,
        router: Router[Endpoint],
        authenticator: Authenticator,
        origins: Origins,
        forwarder: Forwarder,
    ) -> None:
        self._app = app
        self._forwarder = forwarder
        self._router = router
        self._authenticator = authenticator
        self._origins = origins

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer one HTTP request; ``False`` where the path is no route of the API, with nothing sent."""
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return True
        if response is None:
            return False
        for name, value in PRIVATE.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)
        return True

    async def _answer(self, request: Request) -> Response | None:
        operation = ANY
        try:
            match = self._router.find(_raw_path(request.scope))
            if match is None:
                return None
            method = request.method
            if method == "HEAD" and "HEAD" not in match.endpoints:
                method = "GET"
            operation = match.endpoints[method][0].operation if method in match.endpoints else ANY
            await self._origins.check(request)
            if method == "OPTIONS":
                return Response(headers={"allow": ", ".join(match.allowed)})
            if method not in match.endpoints:
                allow = ", ".join(match.allowed)
                operation = next(iter(match.endpoints.values()))[0].operation
                message = f"{request.method} is not allowed here, only {allow}"
                return shaped(operation.shape(405), 405, "method_not_allowed", message, headers={"allow": allow})
            endpoint, names = match.endpoints[method]
            if self._forwarder.wants(request, operation.id):
                passed = await self._forwarder.forward(request)
                if passed is not None:
                    return passed
            values = dict(zip(names, match.values, strict=True))
            if request.method not in _SAFE:
                return await self._call(request, endpoint, values)
            async with attended(request, limit_s=self._app.settings.read_deadline_s):
                return await self._call(request, endpoint, values)
        except ClientDisconnect:
            raise
        except UnicodeDecodeError:
            return error_response(NotFound("The path is not UTF-8"), ANY)
        except Exception as error:  # the door: whatever a handler raises becomes an answer
            return error_response(error, operation)

    async def _call(self, request: Request, endpoint: Endpoint, values: Mapping[str, str]) -> Response:
        operation = endpoint.operation
        request = Request(request.scope, decoded(request.scope, request.receive))
        principal = await self._authenticator.authenticate(request)
        if principal is None and not operation.is_open:
            raise Unauthenticated
        params = decode_path(operation.parameters, values) | decode_query(
            operation.parameters, request.scope["query_string"]
        )
        api_request = ApiRequest(operation, principal, params, None, request, self._app.heavy)
        if endpoint.checks_body:
            api_request = replace(api_request, body=await self._body(api_request))
        return await endpoint.handler(self._app, api_request)

    async def _body(self, request: ApiRequest) -> Any:
        http, operation = request.http, request.operation
        declared = operation.body
        if declared is None or declared.json is None:
            return None
        if http.headers.get("content-type", "").startswith("multipart/form-data"):
            if "multipart/form-data" in declared.content_types:
                return None
            raise InvalidBody("The body is a form; JSON is expected")
        raw = await read_body(http, limit=self._app.settings.max_body_bytes)
        if not raw.strip() and not declared.required:
            return None
        schema = declared.json

        def read() -> Any:
            value = parse_json(raw)
            if (problem := schema.problem(value)) is not None:
                raise InvalidBody(f"The body does not fit: {problem}")
            return value

        return await request.run(read, is_heavy=len(raw) > LARGE_BODY_BYTES)


def text_errors(operation: Operation) -> Operation:
    """The same operation with plain-text errors, for a spelling of ComfyUI's own."""
    return replace(operation, shapes={}, default_shape=Shape.TEXT)


def _raw_path(scope: Scope) -> bytes:
    """Without a mount's prefix and without the query, which some servers leave in."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    root = scope.get("root_path", "").encode()
    return raw.partition(b"?")[0].removeprefix(root)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
