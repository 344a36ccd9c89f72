"""The driver of SQLite: the ``pysqlite3`` wheel where there is one, else Python's own.

The wheel brings a SQLite without the bug that can corrupt a database with a write-ahead log
(https://www.sqlite.org/wal.html#walresetbug); Python's own driver uses the system's, which may have it.
"""

import sqlite3
from types import ModuleType

from safelight.core.errors import Unavailable

OLDEST = (3, 43, 0)
"""The first with ``contentless_delete``, which the index of names needs."""
SOUND = (3, 51, 3)
"""The first without the bug; it was also removed from the branches of :data:`SOUND_BRANCHES`."""
SOUND_BRANCHES = {(3, 50): 7, (3, 44): 6}


def driver() -> ModuleType:
    """Raises :class:`Unavailable` if there is none that is new enough."""
    module = _found()
    if module.sqlite_version_info < OLDEST:
        raise Unavailable(
            f"SQLite {module.sqlite_version} is too old: {'.'.join(map(str, OLDEST))} or later is needed; "
            "pip install pysqlite3, or use PostgreSQL"
        )
    return module


def is_sound(version: tuple[int, ...]) -> bool:
    """Whether that version of SQLite is without the bug."""
    return version >= SOUND or version[2] >= SOUND_BRANCHES.get((version[0], version[1]), 1 << 30)


def _found() -> ModuleType:
    try:
        import pysqlite3.dbapi2 as bundled
    except ImportError:
        return sqlite3
    return bundled  # type: ignore[no-any-return]
