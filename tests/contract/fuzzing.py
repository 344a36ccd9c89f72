"""A whole server with accounts behind a real socket, in a thread of its own, for clients that do not use our event
loop.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import uvicorn
from tests.api.conftest import running
from tests.api.engine import Script, run_all

from safelight.core.clock import SystemClock
from safelight.db.transaction import Transaction
from safelight.services import key as keys
from safelight.services import user as users
from safelight.settings import Settings


@dataclass(frozen=True)
class Address:
    """``key``: of the server's one user, an administrator."""

    url: str
    key: str


@contextmanager
def served(folder: Path, migrated: Path, *, script: Script = run_all) -> Iterator[Address]:
    """``folder`` holds the server's files; ``migrated`` is a database to begin with; ``script``: of its engine."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _unmade, http="httptools", ws="websockets-sansio", lifespan="off", log_config=None, access_log=False
    )
    web = uvicorn.Server(config)
    ready: SimpleQueue[str] = SimpleQueue()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(web, listener, folder, migrated, ready, script)))
    thread.start()
    try:
        yield Address(f"http://127.0.0.1:{listener.getsockname()[1]}", ready.get(timeout=120))
    finally:
        web.should_exit = True
        thread.join()
        listener.close()


async def _serve(
    web: uvicorn.Server,
    listener: socket.socket,
    folder: Path,
    migrated: Path,
    ready: SimpleQueue[str],
    script: Script,
) -> None:
    settings = Settings.of(data_dir=folder, max_body_bytes=100_000, max_upload_bytes=50_000)
    async with running(folder, settings, migrated) as server:
        server.engine.script = script
        ready.put(await server.db.write(_add_user))
        web.config.app = server.app
        await web.serve(sockets=[listener])


def _add_user(tx: Transaction) -> str:
    now = SystemClock().now()
    users.add(tx, name="anna", is_admin=True, now=now)
    return keys.create(tx, user_name="anna", now=now).text


async def _unmade(scope: object, receive: object, send: object) -> None:
    raise AssertionError("replaced before the first request")
