"""Errors of both databases (busy, unreachable, full), translated to those of ``core/errors.py``."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from safelight.core.errors import Invalid, StorageFull, Unavailable

_FULL = ("53100",)
"""PostgreSQL's ``disk_full``."""
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58", "25", "40")
"""PostgreSQL's classes: connection, resources, operator intervention, system, read-only transaction, rollback."""
_DAMAGED = ("file is not a database", "disk image is malformed")
"""SQLite's messages for a file that is not a database, or that was partly overwritten."""
_TEXT = ("22021", "22P05")
"""PostgreSQL's codes for invalid text: it cannot store NUL in a text."""


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the database's errors as :class:`Unavailable`, :class:`StorageFull` or :class:`Invalid`."""
    try:
        yield
    except Exception as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error


def translate(error: BaseException) -> BaseException:
    """The translated error; an error that is a bug is returned unchanged."""
    translated = _translate(error)
    if translated is not error:
        translated.__cause__ = error
    return translated


def _translate(error: BaseException) -> BaseException:
    if not isinstance(error, DBAPIError):
        return error
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state in _FULL or "disk is full" in str(error.orig):
        return StorageFull(f"the database cannot do this now: {error.orig}")
    if state in _TEXT:
        return Invalid("text with a NUL character cannot be stored")
    if any(words in str(error.orig) for words in _DAMAGED):
        return Unavailable(f"the database is damaged ({error.orig}); restore a backup (docs/operate/backup.md)")
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return Unavailable(f"the database cannot do this now: {error.orig}")
    if state.startswith(_UNAVAILABLE_CLASSES):
        return Unavailable(f"the database cannot do this now: {error.orig}")
    return error
