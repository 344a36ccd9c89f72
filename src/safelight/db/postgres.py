"""Connections to PostgreSQL, in autocommit mode, because transactions are begun and ended explicitly; and the advisory
locks that coordinate the servers of one database."""

import asyncio
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from safelight.core.errors import Unavailable
from safelight.db.error_translation import translate

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
"""Statements take milliseconds; one that takes this long waits for a database that has silently gone."""

_KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""An unreachable server loses its locks after about 20 seconds instead of hours."""

MIGRATION_LOCK, SERVER_LOCK, WRITE_LOCK, MAINTENANCE_LOCK = 0x5AFE_0001, 0x5AFE_0002, 0x5AFE_0003, 0x5AFE_0004
"""Keys of advisory locks. Each database of a cluster has its own."""


def create(url: str) -> AsyncEngine:
    """Raises :class:`Unavailable` for an invalid URL, or if the driver is not installed."""
    try:
        parsed = make_url(url).set(drivername="postgresql+asyncpg")
        return create_async_engine(
            parsed,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "command_timeout": COMMAND_TIMEOUT_S,
                "prepared_statement_cache_size": 512,
                "server_settings": {"application_name": "safelight", "jit": "off", **_KEEPALIVE},
            },
        )
    except ArgumentError as error:
        raise Unavailable(f"the database URL is not valid: {error}") from None
    except ModuleNotFoundError:
        raise Unavailable("the driver of PostgreSQL is not installed; run pip install 'safelight[postgres]'") from None


async def connect(engine: AsyncEngine) -> AsyncConnection:
    """Raises :class:`Unavailable`."""
    try:
        return await engine.connect()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"the database {shown(engine)} cannot be reached: {error}") from error
    except Exception as error:
        raise translate(error) from error


async def run(conn: AsyncConnection, statement: str) -> None:
    """Run transaction control directly on the driver. Several statements may be separated by semicolons."""
    try:
        raw = await driver(conn)
        await raw.execute(statement)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"the database cannot be reached: {error}") from error
    except Exception as error:
        if _is_ending(error):
            raw.terminate()
        raise _of_driver(error) from error


async def driver(conn: AsyncConnection) -> Any:
    """asyncpg's connection."""
    return (await conn.get_raw_connection()).driver_connection


async def is_alive(conn: AsyncConnection) -> bool:
    return not conn.closed and not conn.invalidated and not (await driver(conn)).is_closed()


async def drop(conn: AsyncConnection) -> None:
    """Close a connection immediately, whatever it is doing. A second call does nothing."""
    if conn.closed:
        return
    try:
        if not conn.invalidated:
            (await driver(conn)).terminate()
    finally:
        await conn.invalidate()
        await conn.close()


def shown(engine: AsyncEngine) -> str:
    """The URL without its password."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=True)


LOCK_CHECK_S = 5.0


class ServerLock:
    """The lock of a database's only server, held on a connection of its own; it ends with the connection.

    Mutable: the connection, which is replaced after a restart of the database.
    """

    def __init__(self, engine: AsyncEngine, conn: AsyncConnection) -> None:
        self._engine = engine
        self._conn = conn

    @classmethod
    async def take(cls, engine: AsyncEngine) -> "ServerLock":
        """Raises :class:`Unavailable` if another server has it."""
        return cls(engine, await cls._connect(engine))

    async def keep(self, *, ask: bool = False) -> None:
        """Take the lock again if it is lost. Raises :class:`Unavailable` if another server has it now: writes of this
        one could undo what that one does.

        ``ask``: query the database, because another connection broke and this one may be broken without notice.
        """
        if not await is_alive(self._conn) or (ask and not await self.is_held()):
            conn = await self._connect(self._engine)
            await drop(self._conn)
            self._conn = conn

    @staticmethod
    async def _connect(engine: AsyncEngine) -> AsyncConnection:
        conn = await connect(engine)
        if await (await driver(conn)).fetchval("SELECT pg_try_advisory_lock($1)", SERVER_LOCK):
            return conn
        await conn.close()
        raise Unavailable(f"another server is running on the database {shown(engine)}")

    async def is_held(self) -> bool:
        """Whether the connection, and so the lock, still exists. Queries the database; a dead connection times out."""
        try:
            async with asyncio.timeout(LOCK_CHECK_S):
                await run(self._conn, "SELECT 1")
        except (TimeoutError, Unavailable):
            return False
        return True

    async def release(self) -> None:
        await drop(self._conn)


class MaintenanceLock:
    """Keeps what removes blobs apart from what copies them, for all servers and commands of a database. Held on a
    connection of its own."""

    def __init__(self, engine: AsyncEngine, conn: AsyncConnection) -> None:
        self._engine = engine
        self._conn = conn

    @classmethod
    async def take(cls, engine: AsyncEngine) -> "MaintenanceLock":
        """Raises :class:`Unavailable` if another program has it."""
        conn = await connect(engine)
        if await (await driver(conn)).fetchval("SELECT pg_try_advisory_lock($1)", MAINTENANCE_LOCK):
            return cls(engine, conn)
        await conn.close()
        await engine.dispose()
        raise Unavailable(f"a gc or backup of {shown(engine)} is running; try again when it has ended")

    async def release(self) -> None:
        await drop(self._conn)
        await self._engine.dispose()


def _of_driver(error: Exception) -> BaseException:
    """Translate asyncpg's own exceptions, which did not pass through SQLAlchemy."""
    import asyncpg

    known = asyncpg.PostgresError | asyncpg.InterfaceError | asyncio.IncompleteReadError
    if isinstance(error, known) or _is_ending(error):
        return Unavailable(f"the database cannot do this now: {error}")
    return error


def _is_ending(error: Exception) -> bool:
    """Whether the statement was not sent because the connection is receiving the server's notice that it closes."""
    import asyncpg

    return isinstance(error, asyncpg.InternalClientError) and "another operation" in str(error)
