"""How a PostgreSQL database is opened: connections without a transaction of the driver's own, so that ours are begun
and ended by hand; the locks by which servers of one database keep out of each other's way."""

import asyncio
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from safelight.core.errors import Unavailable
from safelight.db.errors import translate

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
"""A statement takes milliseconds. What takes longer waits for a server that is gone, without a word."""

_KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""A server that cannot be reached any more loses its locks after so many seconds, and not after hours."""

MIGRATION_LOCK, SERVER_LOCK, WRITE_LOCK = 0x5AFE_0001, 0x5AFE_0002, 0x5AFE_0003
"""Advisory locks. They are the database's own: other databases of the same cluster have others."""


def create(url: str) -> AsyncEngine:
    """Raises :class:`Unavailable` for an address that is none, or where the driver is not installed."""
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
        raise Unavailable(f"the database's address cannot be read: {error}") from None
    except ModuleNotFoundError:
        raise Unavailable("PostgreSQL needs `pip install 'safelight[postgres]'`") from None


async def connect(engine: AsyncEngine) -> AsyncConnection:
    """Raises :class:`Unavailable`."""
    try:
        return await engine.connect()
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"the database {shown(engine)} cannot be reached: {error}") from error
    except Exception as error:
        raise translate(error) from error


async def run(conn: AsyncConnection, statement: str) -> None:
    """Transaction control, straight to the driver. Several statements may be separated by semicolons."""
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
    """Let go of a connection, whatever it is in the middle of. Dropping one twice does nothing more."""
    if conn.closed:
        return
    try:
        if not conn.invalidated:
            (await driver(conn)).terminate()
    finally:
        await conn.invalidate()
        await conn.close()


def shown(engine: AsyncEngine) -> str:
    """The address without its password."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=True)


LOCK_CHECK_S = 5.0


class ServerLock:
    """Held by the one server of a database, on a connection of its own; it ends with the connection.

    Mutable: the connection, which a restart of the database ends.
    """

    def __init__(self, engine: AsyncEngine, conn: AsyncConnection) -> None:
        self._engine = engine
        self._conn = conn

    @classmethod
    async def take(cls, engine: AsyncEngine) -> "ServerLock":
        """Raises :class:`Unavailable` where another server has it."""
        return cls(engine, await cls._connect(engine))

    async def keep(self, *, ask: bool = False) -> None:
        """Take it again should it be lost. Raises :class:`Unavailable` where another server was quicker: what this one
        would write now might undo what that one does.

        ``ask`` the database: another connection broke, and this one may not know yet that it did too.
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
        """Ask the database, which a connection that is dead without a word does not answer in time."""
        try:
            async with asyncio.timeout(LOCK_CHECK_S):
                await run(self._conn, "SELECT 1")
        except (TimeoutError, Unavailable):
            return False
        return True

    async def release(self) -> None:
        await drop(self._conn)


def _of_driver(error: Exception) -> BaseException:
    """asyncpg's own exceptions, which SQLAlchemy did not see."""
    import asyncpg

    known = asyncpg.PostgresError | asyncpg.InterfaceError | asyncio.IncompleteReadError
    if isinstance(error, known) or _is_ending(error):
        return Unavailable(f"the database cannot do this now: {error}")
    return error


def _is_ending(error: Exception) -> bool:
    """Nothing was sent: the connection is in the middle of the server's last words, that it will be closed."""
    import asyncpg

    return isinstance(error, asyncpg.InternalClientError) and "another operation" in str(error)
