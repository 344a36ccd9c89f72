"""Words between servers of one PostgreSQL database: notices, which are part of a commit, and pictures of previews."""

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
"""A connection that is dead without a word is found out by asking."""

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


class Listening:
    """A connection on which notices are heard, in the order of the commits. Made by :meth:`open`."""

    def __init__(self, engine: AsyncEngine, conn: AsyncConnection) -> None:
        self._engine = engine
        self._conn = conn
        self._end = asyncio.Event()
        self.alive_at = datetime.now(UTC)
        """When it was last known to hear everything."""

    @classmethod
    async def open(cls, url: str, heard: Callable[[str], None]) -> "Listening":
        """Raises :class:`Unavailable`."""
        engine = postgres.create(url)
        listening = cls(engine, await postgres.connect(engine))
        driver = await postgres.driver(listening._conn)
        try:
            driver.add_termination_listener(lambda _: listening._end.set())
            await driver.add_listener(NAME, lambda _conn, _pid, _channel, notice: heard(notice))
        except BaseException as error:
            await listening.close()
            raise Unavailable(f"the database cannot be listened to: {error}") from error
        return listening

    async def ended(self) -> None:
        """Returns when the connection is broken."""
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
