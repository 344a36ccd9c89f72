"""A request to one operation, as its handler sees it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.app import App
from safelight.api.contract import Operation
from safelight.api.errors import Unauthenticated
from safelight.api.heavy import LARGE_BODY_BYTES, HeavyWork
from safelight.api.request_body import parse_json, read_body
from safelight.core.user import Principal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """``params``: the declared path and query parameters by name; ``body``: the checked JSON body, if any; ``http``:
    the request as it arrived."""

    operation: Operation
    principal: Principal | None
    params: Mapping[str, Any]
    body: Any
    http: Request
    heavy: HeavyWork

    @property
    def who(self) -> Principal:
        """The caller. Raises :class:`Unauthenticated` on an operation that is open to all, for a caller unknown."""
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    async def read(self, *, limit: int) -> bytes:
        """The raw body, for an operation whose body the pipeline does not read."""
        return await read_body(self.http, limit=limit)

    async def read_json(self, *, limit: int) -> Any:
        """A JSON body that the pipeline does not check; ``None`` where there is none."""
        body = await read_body(self.http, limit=limit)
        return await self.decode(body) if body.strip() else None

    async def decode(self, body: bytes) -> Any:
        """A body as JSON; a large one in its turn. Raises :class:`~safelight.api.request_body.InvalidBody`."""
        return await self.run(lambda: parse_json(body), is_heavy=len(body) > LARGE_BODY_BYTES)

    async def run(self, work: Callable[[], T], *, is_heavy: bool) -> T:
        """Do what needs the CPU: here, or in the caller's turn if it is heavy (``api/heavy.py``)."""
        owner_id = self.principal.user_id if self.principal else None
        return await self.heavy.run(owner_id, work, is_heavy=is_heavy)


Handler = Callable[[App, ApiRequest], Awaitable[Response]]
