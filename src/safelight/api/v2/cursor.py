"""Cursors of lists: where the next page begins, as a text that only this server makes."""

import base64
import binascii

from safelight.core.errors import Invalid


class InvalidCursor(Invalid):
    code = "invalid_cursor"


def write_cursor(position: int, *, kind: str) -> str:
    """``kind``: of the list, so that a cursor of one list is not taken for one of another."""
    return base64.urlsafe_b64encode(f"{kind}:{position}".encode()).decode().rstrip("=")


def read_cursor(text: str, *, kind: str) -> int:
    """Raises :class:`InvalidCursor`."""
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        plain = ""
    name, _, number = plain.partition(":")
    if name != kind or not number.isdecimal() or len(number) > 18:
        raise InvalidCursor(f"invalid cursor {text[:80]!r}: it was not made by this server")
    return int(number)
