"""What a database says of itself (busy, gone, full), in our words, whichever of the two it is."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from safelight.core.errors import Invalid, StorageFull, Unavailable

_FULL = ("53100",)
"""PostgreSQL's ``disk_full``."""
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58", "25", "40")
"""PostgreSQL's: connections, resources, operators' acts, the system, read-only transactions, those rolled back."""
_DAMAGED = ("file is not a database", "disk image is malformed")
"""SQLite's words for a file that holds something else, or that was overwritten in part."""
_TEXT = ("22021", "22P05")
"""Bytes that are no text: PostgreSQL keeps no NUL in one."""


@contextlib.contextmanager
def in_our_words() -> Iterator[None]:
    """Raise what the database says of itself as :class:`Unavailable`."""
    try:
        yield
    except Exception as error:
        translated = translate(error)
        if translated is error:
            raise
        raise translated from error


def translate(error: BaseException) -> BaseException:
    """The error in our words; one that is a program's fault as it is."""
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
