"""Opens SQLite databases: one file with a write-ahead log; nothing is acknowledged before it is on disk.

Transactions are begun and ended explicitly: the driver's own handling opens none for reads and cannot group commits.
"""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from safelight.core.errors import StorageFull, Unavailable
from safelight.db import sqlite_driver
from safelight.sandbox.file_lock import lock

_BUSY_TIMEOUT_MS = 5000


def create(url: str) -> Engine:
    """An engine for ``sqlite:////absolute/path.db``. Creates the folder if it is missing."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise Unavailable(f"the database {parsed.render_as_string()} is not a SQLite file (sqlite:////path/to/file.db)")
    try:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create the folder of the database {parsed.database}: {error.strerror}") from error
    engine = create_engine(
        f"sqlite:///{parsed.database}",
        module=sqlite_driver.driver(),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000, "check_same_thread": False, "cached_statements": 256},
    )
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, record: object) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "cache_size=-8192",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")


def run(conn: Connection, statement: str) -> None:
    """Run transaction control or a pragma directly on the driver. Raises :class:`Unavailable`."""
    driver: Any = conn.connection.driver_connection
    try:
        driver.execute(statement)
    except sqlite_driver.driver().OperationalError as error:
        raise unavailable(error) from error


def unavailable(error: BaseException | None) -> Unavailable:
    kind = StorageFull if "disk is full" in str(error) else Unavailable
    return kind(f"the database cannot do this now: {error}")


def in_transaction(conn: Connection) -> bool:
    """Whether a transaction is open: SQLite itself ends it on some errors, such as a full disk."""
    driver: Any = conn.connection.driver_connection
    return bool(driver.in_transaction)


def copy(url: str, to: Path) -> None:
    """Copy the database consistently to a new file, while others read and write. Blocks.

    Raises :class:`Unavailable`, also if SQLite finds the copy damaged.
    """
    path = make_url(url).database
    if make_url(url).get_backend_name() != "sqlite" or not path or not Path(path).exists():
        raise Unavailable(f"the database {make_url(url).render_as_string()} is not a SQLite file")
    source, target = sqlite_driver.driver().connect(path), sqlite_driver.driver().connect(to)
    try:
        os.chmod(to, 0o600)
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        [[found]] = target.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            raise Unavailable(f"the database {path} is damaged: {found}")
    except sqlite_driver.driver().DatabaseError as error:
        raise unavailable(error) from error
    finally:
        target.close()
        source.close()


class ServerLock:
    """The lock of a database's only server. A second server would give up the jobs that the first one runs."""

    def __init__(self, url: str) -> None:
        path = f"{make_url(url).database}.lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock(self._fd, wait=False)
        except OSError:
            os.close(self._fd)
            raise Unavailable(f"another server is running on the database {path.removesuffix('.lock')}") from None

    def release(self) -> None:
        os.close(self._fd)
