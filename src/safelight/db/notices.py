"""Communication between the servers of one PostgreSQL database: notices, sent with a commit, and preview images."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from safelight.core.errors import Unavailable
from safelight.core.ids import JobId
from safelight.db import postgres
from safelight.db.tables import preview
from safelight.db.upsert import insert

NAME = "safelight"
CHECK_S = 5.0
"""How often a connection is tested, because a connection may break without notice."""

_NOTIFY = text("SELECT pg_notify(:channel, :notice)")
_LOAD = select(preview.c.image).where(preview.c.job_id == bindparam("of"))
_DROP = delete(preview).where(preview.c.job_id == bindparam("of"))


def notify(conn: Connection, notice: str) -> None:
    """``notice``: fewer than 8,000 bytes."""
    conn.execute(_NOTIFY, {"channel": NAME, "notice": notice})


def keep_preview(conn: Connection, job_id: JobId, *, image: bytes) -> None:
    added = insert(conn, preview).values(job_id=job_id, image=image)
    conn.execute(added.on_conflict_do_update(index_elements=["job_id"], set_={"image": image}))


def load_preview(conn: Connection, job_id: JobId) -> bytes | None:
    return conn.execute(_LOAD, {"of": job_id}).scalar_one_or_none()


def drop_preview(conn: Connection, job_id: JobId) -> None:
    conn.execute(_DROP, {"of": job_id})


class Listener:
    """A connection that receives notices, in the order of the commits. Made by :meth:`open`."""

    def __init__(self, engine: AsyncEngine, conn: AsyncConnection) -> None:
        self._engine = engine
        self._conn = conn
        self._end = asyncio.Event()
        self.alive_at = datetime.now(UTC)
        """When the connection was last known to work: all notices up to then have been received."""

    @classmethod
    async def open(cls, url: str, on_notice: Callable[[str], None]) -> "Listener":
        """Raises :class:`Unavailable`."""
        engine = postgres.create(url)
        listener = cls(engine, await postgres.connect(engine))
        driver = await postgres.driver(listener._conn)
        try:
            driver.add_termination_listener(lambda _: listener._end.set())
            await driver.add_listener(NAME, lambda _conn, _pid, _channel, notice: on_notice(notice))
        except BaseException as error:
            await listener.close()
            raise Unavailable(f"cannot listen for notices of the database: {error}") from error
        return listener

    async def ended(self) -> None:
        """Wait until the connection breaks."""
        while not self._end.is_set():
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._end.wait()
            except TimeoutError:
                try:
                    async with asyncio.timeout(CHECK_S):
                        asked_at = datetime.now(UTC)
                        await postgres.run(self._conn, "SELECT 1")
                        self.alive_at = asked_at
                except (TimeoutError, Unavailable):
                    return

    async def close(self) -> None:
        if self._conn.closed:
            return
        await postgres.drop(self._conn)
        await self._engine.dispose()
