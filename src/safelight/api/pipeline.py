"""The request pipeline: what every API request passes through, from the raw path to the response.

Plain ASGI without middleware. :meth:`Pipeline._answer` and :meth:`Pipeline._call` list the steps in their order: route,
check the origin, forward to the leader, authenticate, decode parameters and body, open a transaction, run the handler,
render errors.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.content_encoding import decoded
from safelight.api.contract import Operation
from safelight.api.deadline import attended
from safelight.api.error_responses import Unauthenticated, error_response, shaped
from safelight.api.forwarding import Forwarder
from safelight.api.handler import Handler
from safelight.api.heavy import LARGE_BODY_BYTES
from safelight.api.origin import Origins
from safelight.api.parameters import decode_path, decode_query
from safelight.api.quota_notices import tell_refusal
from safelight.api.request_body import InvalidBody, parse_json, read_body
from safelight.api.request_path import raw_path
from safelight.api.responses import PRIVATE
from safelight.api.routing import Match, Router
from safelight.core.errors import NotFound, SafelightError

log = logging.getLogger(__name__)
access_log = logging.getLogger("safelight.access")

ANY = Operation(id="any", method="*", path="*")
"""The operation that errors are rendered for where none matched: as ``{"code", "message"}``."""
_SAFE = ("GET", "HEAD")
"""Methods that change nothing, so that cancelling them loses nothing."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    operation: Operation
    handler: Handler


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
        """Answer one HTTP request. Return ``False``, with nothing sent, where the path is not a route of the API."""
        try:
            match = self._router.find(raw_path(scope))
        except UnicodeDecodeError:
            await error_response(NotFound("the path is not UTF-8"), ANY)(scope, receive, send)
            return True
        if match is None:
            return False
        request, since_s = Request(scope, receive), self._app.clock.monotonic_s()
        traces = self._app.traces
        span = None if traces is None else traces.begin_request(request.method, request.headers)
        status = 0
        try:
            response = await self._answer(request, match)
            for name, value in PRIVATE.items():
                response.headers.setdefault(name, value)
            await response(scope, receive, _without_body(send) if scope["method"] == "HEAD" else send)
            status = response.status_code
            self._report(request, match, status, self._app.clock.monotonic_s() - since_s)
        except ClientDisconnect:
            pass
        finally:
            if span is not None:
                span.end(_operation_id(request, match), status)
        return True

    def _report(self, request: Request, match: Match[Endpoint], status: int, seconds: float) -> None:
        method = "GET" if request.method == "HEAD" else request.method
        known = method if method in match.endpoints else "other"
        self._app.metrics.request_answered(_operation_id(request, match), known, status, seconds)
        if self._app.settings.telemetry.access_log:
            path, ms = request.url.path, round(seconds * 1e3, 1)
            fields = {"method": request.method, "path": path, "status": status, "ms": ms}
            access_log.info("%s %s %d %.1f ms", request.method, path, status, ms, extra={"fields": fields})

    async def _answer(self, request: Request, match: Match[Endpoint]) -> Response:
        operation = ANY
        try:
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
            if self._forwarder.can_forward(request) and endpoint.handler.needs_leader(request):
                forwarded = await self._forwarder.forward(request)
                if forwarded is not None:
                    return forwarded
            values = dict(zip(names, match.values, strict=True))
            if request.method not in _SAFE:
                return await self._call(request, endpoint, values)
            async with attended(request, limit_s=self._app.settings.limits.read_deadline_s):
                return await self._call(request, endpoint, values)
        except ClientDisconnect:
            raise
        except Exception as error:  # a boundary: any exception of a handler becomes a response
            return error_response(error, operation)

    async def _call(self, request: Request, endpoint: Endpoint, values: Mapping[str, str]) -> Response:
        operation, handler = endpoint.operation, endpoint.handler
        request = Request(request.scope, decoded(request.scope, request.receive))
        principal = await self._authenticator.authenticate(request)
        if principal is None and not operation.is_open:
            raise Unauthenticated
        api_request = ApiRequest(
            operation=operation,
            principal=principal,
            params=decode_path(operation.parameters, values)
            | decode_query(operation.parameters, request.scope["query_string"]),
            now=self._app.clock.now(),
            http=request,
            settings=self._app.settings,
            heavy=self._app.heavy,
        )
        if handler.checks_body and operation.body is not None:
            body = await self._read_body(api_request)
            api_request = replace(api_request, body=body, now=self._app.clock.now())
        try:
            return await handler.answer(self._app, api_request)
        except SafelightError as error:
            if principal is not None:
                await tell_refusal(self._app, principal.user_id, error)
            raise

    async def _read_body(self, request: ApiRequest) -> Any:
        http, declared = request.http, request.operation.body
        if declared is None or declared.json is None:
            return None
        if http.headers.get("content-type", "").startswith("multipart/form-data"):
            if "multipart/form-data" in declared.content_types:
                return None
            raise InvalidBody("the body is a form; JSON is expected")
        raw = await read_body(http, limit=request.settings.limits.max_body_bytes)
        if not raw.strip() and not declared.required:
            return None
        schema = declared.json

        def read() -> Any:
            value = parse_json(raw)
            if (problem := schema.problem(value)) is not None:
                raise InvalidBody(f"the body does not match the schema: {problem}")
            return value

        return await request.run(read, is_heavy=len(raw) > LARGE_BODY_BYTES)


def _operation_id(request: Request, match: Match[Endpoint]) -> str:
    endpoint = match.endpoints.get("GET" if request.method == "HEAD" else request.method)
    return endpoint[0].operation.id if endpoint else ANY.id


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
