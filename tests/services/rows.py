"""A real database without threads, for tests that make thousands of small steps."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.database import add_users

from safelight.core.event import Event
from safelight.db import migrate, sqlite
from safelight.db.transaction import Transaction

T = TypeVar("T")


class Rows:
    """Mutable: the database, and ``events``: those published so far. Each step is a transaction."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="safelight-rows-"))
        self.events: list[Event] = []
        self._engine = sqlite.create(f"sqlite:///{self.folder}/rows.db")
        migrate.to_head(self._engine)
        self._conn = self._engine.connect()
        sqlite.run(self._conn, "PRAGMA synchronous=OFF")
        self.do(add_users)

    def do(self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``verb`` in a transaction and return its result; an exception rolls back."""
        tx = Transaction(self._conn)
        sqlite.run(self._conn, "BEGIN IMMEDIATE")
        try:
            result = verb(tx, *args, **kwargs)
        except BaseException:
            sqlite.run(self._conn, "ROLLBACK")
            raise
        sqlite.run(self._conn, "COMMIT")
        self.events += tx.events
        return result

    def close(self) -> None:
        self._conn.close()
        self._engine.dispose()
        shutil.rmtree(self.folder)
