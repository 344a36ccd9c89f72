"""One call of an operation, as its handler sees it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.app import App
from safelight.api.bodies import parse_json, read_body
from safelight.api.contract import Operation
from safelight.api.errors import Unauthenticated
from safelight.core.user import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """``params`` holds the declared path and query parameters by name; ``body`` the checked JSON body, if any."""

    operation: Operation
    principal: Principal | None
    params: Mapping[str, Any]
    body: Any
    request: Request

    @property
    def who(self) -> Principal:
        """The caller. Raises :class:`Unauthenticated` on an operation that is open to all, for a caller unknown."""
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    async def read(self, *, limit: int) -> bytes:
        """The raw body, for an operation whose body the kernel does not read."""
        return await read_body(self.request, limit=limit)

    async def read_json(self, *, limit: int) -> Any:
        """A JSON body that the contract does not mention; ``None`` where there is none."""
        body = await read_body(self.request, limit=limit)
        return parse_json(body) if body.strip() else None


Handler = Callable[[App, Call], Awaitable[Response]]
