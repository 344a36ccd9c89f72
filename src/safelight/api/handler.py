"""How a handler is registered: what it needs from the request pipeline, declared where the handler is defined.

A handler has one of two forms. One that reads or changes rows and nothing else receives a transaction from the
pipeline::

    @writes
    def cancel_job(tx: Transaction, request: ApiRequest) -> Any:
        return {"cancelled": jobs.cancel(tx, request.who, job_id=request.params["job_id"], now=request.now)}

It runs in a thread of the database, maybe together with other writes, and returns the JSON content of the response,
which is encoded after the commit. It must do nothing but row work. Every other handler is ``async (app, request) ->
Response`` and opens its own transactions with ``app.db``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, overload

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.api_request import ApiRequest
from safelight.api.app import App
from safelight.api.responses import json_response
from safelight.db.transaction import Transaction

AsyncFunction = Callable[[App, ApiRequest], Awaitable[Response]]
RowFunction = Callable[[Transaction, ApiRequest], Any]


class Access(Enum):
    """The transaction that the pipeline opens for a handler."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


def never(request: Request) -> bool:
    return False


def always(request: Request) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """``function``: an :data:`AsyncFunction` where ``access`` is ``NONE``, else a :data:`RowFunction`.

    ``status``: of the response to what a row function returns. ``needs_leader``: whether a request must be answered by
    the server that leads. ``checks_body``: whether the pipeline reads the body and validates it by the contract's
    schema.
    """

    function: Callable[..., Any]
    access: Access = Access.NONE
    status: int = 200
    needs_leader: Callable[[Request], bool] = never
    checks_body: bool = True

    @property
    def name(self) -> str:
        return self.function.__name__

    async def answer(self, app: App, request: ApiRequest) -> Response:
        """Run the function, in a transaction if it needs one, and return its response."""
        if self.access is Access.NONE:
            response: Response = await self.function(app, request)
            return response

        def work(tx: Transaction) -> Any:
            return self.function(tx, request)

        content = await (app.db.read(work) if self.access is Access.READ else app.db.write(work))
        if isinstance(content, Response):
            return content
        return Response(status_code=204) if self.status == 204 else json_response(content, status=self.status)


def as_handler(handler: Handler | AsyncFunction) -> Handler:
    return handler if isinstance(handler, Handler) else Handler(function=handler)


def reads(function: RowFunction) -> Handler:
    """The pipeline opens a read-only transaction for the handler."""
    return Handler(function=function, access=Access.READ)


@overload
def writes(function: RowFunction, /) -> Handler: ...
@overload
def writes(*, status: int) -> Callable[[RowFunction], Handler]: ...
def writes(function: RowFunction | None = None, /, *, status: int = 200) -> Handler | Callable[[RowFunction], Handler]:
    """The pipeline opens a write transaction for the handler. ``status`` 204: the response has no body."""

    def register(function: RowFunction) -> Handler:
        return Handler(function=function, access=Access.WRITE, status=status)

    return register if function is None else register(function)


def on_leader(handler: Handler | AsyncFunction) -> Handler:
    """Only the server that leads can answer: it has the workers, or does the work once for all servers."""
    return replace(as_handler(handler), needs_leader=always)


def on_leader_if(condition: Callable[[Request], bool]) -> Callable[[Handler | AsyncFunction], Handler]:
    """:func:`on_leader` for the requests that meet ``condition``."""
    return lambda handler: replace(as_handler(handler), needs_leader=condition)


def unchecked_body(handler: Handler | AsyncFunction) -> Handler:
    """The handler reads the body itself: a form, a body in ComfyUI's own form, or JSON that is labelled as text."""
    return replace(as_handler(handler), checks_body=False)
