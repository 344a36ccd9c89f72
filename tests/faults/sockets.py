"""Thousands of idle sockets that all reconnect together: the server stays responsive, sends each socket its messages,
and frees closed sockets."""

import asyncio
import base64
import os
import random
import resource
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.ledger import Ledger
from tests.faults.site import PATIENCE_S, Site

from safelight.core.clock import SystemClock
from safelight.db.engine import Database
from safelight.services import key, user

EACH = 250
"""Sockets per user; a server allows 256."""

Socket = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def allow_open_files(number: int) -> bool:
    """Raise this process's limit; return ``False`` if the system does not allow it."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now < number <= most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, most))
    return number <= max(now, most)


def crowd(folder: Path, rng: random.Random, ledger: Ledger, *, users: int) -> None:
    keys = asyncio.run(_add_users(folder / "data", users))
    with Site(folder / "data", workers=1).start() as site:
        asyncio.run(_storm(site, keys, ledger))


async def _storm(site: Site, keys: list[str], ledger: Ledger) -> None:
    idle_mb = _rss_mb(site)
    sockets = await _connect(site, keys)
    assert [await _first_word(socket) for socket in sockets] == ["status"] * len(sockets)
    with_sockets_mb = _rss_mb(site)
    assert (with_sockets_mb - idle_mb) * 1024 / len(sockets) < 200, "an idle socket takes 200 kB or more"
    assert await _health_s(site) < PATIENCE_S
    ledger.injected("an unresponsive socket", len(sockets))
    for _ in range(2):
        for _, writer in sockets:
            writer.transport.abort()
        sockets = await _connect(site, keys)
        assert [await _first_word(socket) for socket in sockets] == ["status"] * len(sockets)
        ledger.injected("a socket that reconnects in a storm of reconnects", len(sockets))
    for _, writer in sockets:
        writer.transport.abort()
    again = await _connect(site, keys)  # there is space, so closed sockets were freed
    assert [await _first_word(socket) for socket in again] == ["status"] * len(again)
    for _, writer in again:
        writer.transport.abort()


async def _connect(site: Site, keys: list[str]) -> list[Socket]:
    """Open all sockets together; one that is rejected because its predecessor's end was not noticed yet tries again."""
    return list(await asyncio.gather(*(_open(site, key) for key in keys for _ in range(EACH))))


async def _open(site: Site, key: str) -> Socket:
    assert site.server is not None
    address = urlsplit(site.server.url)
    until = time.monotonic() + PATIENCE_S
    while True:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /ws HTTP/1.1\r\nhost: {address.netloc}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {nonce}\r\nx-api-key: {key}\r\n\r\n"
        )
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        first = await reader.readexactly(1)
        if first == b"\x81":
            return reader, writer
        writer.transport.abort()
        assert time.monotonic() < until, f"a socket is closed again and again ({first!r})"
        await asyncio.sleep(0.1)


async def _first_word(socket: Socket) -> str:
    """Return the type of the message whose first byte was read."""
    reader, _ = socket
    size = (await reader.readexactly(1))[0]
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    text = (await reader.readexactly(size)).decode()
    return "status" if '"type":"status"' in text.replace(" ", "") else text


async def _health_s(site: Site) -> float:
    start = time.monotonic()
    answer = await asyncio.to_thread(site.request, "GET", "/health")
    assert answer.body == b"OK"
    return time.monotonic() - start


async def _add_users(folder: Path, users: int) -> list[str]:
    folder.mkdir()
    db = await Database.open(f"sqlite:///{folder}/safelight.db", on_commit=lambda events: None)
    try:
        now = SystemClock().now()
        names = [f"user{number}" for number in range(users)]
        for name in names:
            await db.write(lambda tx, name=name: user.add(tx, name=name, is_admin=False, password_hash=None, now=now))  # type: ignore[misc]
        made = [await db.write(lambda tx, name=name: key.create(tx, user_name=name, now=now)) for name in names]  # type: ignore[misc]
        return [each.text for each in made]
    finally:
        await db.close()


def _rss_mb(site: Site) -> float:
    lines = Path(f"/proc/{site.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
