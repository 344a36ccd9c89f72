"""Cached credentials: never one that was revoked while it was looked up."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from starlette.requests import HTTPConnection
from tests.api.accounts import add_key, add_user
from tests.api.conftest import Server

from safelight.api.auth import AccountAuthenticator
from safelight.core.clock import SystemClock
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import user

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Held(Database):
    """The server's database, which delays its results while ``is_closed``. Mutable: that flag."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.is_closed = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        found = await self._db.read(fn)
        if self.is_closed.is_set():
            self.is_closed.clear()
            self.is_asked.set()
            await self.goes_on.wait()
        return found


async def test_a_key_that_is_taken_away_while_it_is_looked_up_is_not_remembered(server: Server) -> None:
    await add_user(server, "anna")
    text = await add_key(server, "anna")
    held = Held(server.db)
    authenticator = AccountAuthenticator(held, SystemClock(), server.bus, may_be_open=False)
    request = HTTPConnection({"type": "http", "headers": [(b"x-api-key", text.encode())], "query_string": b""})
    await authenticator.refresh()
    held.is_closed.set()
    looking = asyncio.create_task(authenticator.authenticate(request))
    await held.is_asked.wait()
    await server.db.write(lambda tx: user.disable(tx, name="anna", disabled=True, now=SystemClock().now()))
    await authenticator.refresh()
    held.goes_on.set()
    assert await looking is not None, "it was good when it was asked"
    assert await authenticator.authenticate(request) is None
