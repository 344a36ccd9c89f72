"""A request to one operation, as its handler sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from starlette.requests import Request

from safelight.api.contract import Operation
from safelight.api.error_responses import Unauthenticated
from safelight.api.heavy import LARGE_BODY_BYTES, HeavyWork
from safelight.api.request_body import parse_json, read_body
from safelight.core.user import Principal
from safelight.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """``params``: the declared path and query parameters by name; ``body``: the checked JSON body, if any; ``now``:
    when the request was complete; ``http``: the request as it arrived."""

    operation: Operation
    principal: Principal | None
    params: Mapping[str, Any]
    body: Any = None
    now: datetime
    http: Request
    settings: Settings
    heavy: HeavyWork

    @property
    def who(self) -> Principal:
        """The caller. Raises :class:`Unauthenticated` for an unknown caller of an operation that is open to all."""
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    async def read(self, *, limit: int) -> bytes:
        """The raw body, for a handler that is registered with ``unchecked_body``; ``limit`` in bytes."""
        return await read_body(self.http, limit=limit)

    async def read_json(self, *, limit: int) -> Any:
        """A JSON body that no schema checks; ``None`` where there is no body."""
        body = await read_body(self.http, limit=limit)
        return await self.decode(body) if body.strip() else None

    async def decode(self, body: bytes) -> Any:
        """A body as JSON. Raises :class:`~safelight.api.request_body.InvalidBody`."""
        return await self.run(lambda: parse_json(body), is_heavy=len(body) > LARGE_BODY_BYTES)

    async def run(self, work: Callable[[], T], *, is_heavy: bool) -> T:
        """Run CPU work: here, or in the caller's queue if it is heavy (``api/heavy.py``)."""
        owner_id = self.principal.user_id if self.principal else None
        return await self.heavy.run(owner_id, work, is_heavy=is_heavy)
