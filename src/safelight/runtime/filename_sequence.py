"""The numbered names of saved files: tokens in the prefix, its subfolder, and the numbers that the server reserves."""

import re
from collections.abc import Callable
from datetime import datetime

from safelight.core.asset import clean_filename, parse_prefix
from safelight.core.errors import InvalidName

BATCH_TOKEN = "%batch_num%"
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,16}")
_DATE_TOKEN = re.compile(r"%date:([^%]*)%")
_DATE_PART = re.compile(r"yyyy|yy|MM|M|dd|d|hh|h|mm|m|ss|s")

Reserve = Callable[[str, str], int]
"""Takes a subfolder and a prefix; reserves numbers and returns the first."""


class FilenameSequence:
    """``<prefix>_00001_.png``, ``<prefix>_00002_.png`` ... ``count`` numbers are reserved when it is made."""

    def __init__(self, prefix: str, *, count: int, width: int, height: int, now: datetime, reserve: Reserve) -> None:
        """Raises :class:`ValueError` for a prefix that would leave its folder."""
        self.subfolder, self.prefix = split_prefix(fill_tokens(prefix, width=width, height=height, now=now))
        # With the batch number in the name there are several prefixes; the numbers must be free for all of them.
        prefixes = sorted({self.prefix.replace(BATCH_TOKEN, str(i)) for i in range(max(count, 1))})
        for p in prefixes:
            _check(f"{p}_00001_")
        self.first = max(reserve(self.subfolder, p) for p in prefixes)

    def filename(self, index: int, extension: str) -> str:
        """Raises :class:`ValueError` for an invalid extension, and for a name that is too long."""
        if not _EXTENSION.fullmatch(extension):
            raise ValueError(f"invalid file extension {extension!r}; use one such as '.png'")
        prefix = self.prefix.replace(BATCH_TOKEN, str(index))
        return _check(f"{prefix}_{self.first + index:05}_{extension}")


def fill_tokens(prefix: str, *, width: int, height: int, now: datetime) -> str:
    """Replace ``%date:yyyy-MM-dd%``, as ComfyUI's frontend writes dates, and the tokens that its server replaces."""
    filled = _DATE_TOKEN.sub(lambda m: _DATE_PART.sub(lambda part: _date_part(part[0], now), m[1]), prefix)
    tokens = {
        "%width%": str(width),
        "%height%": str(height),
        "%year%": f"{now.year}",
        "%month%": f"{now.month:02}",
        "%day%": f"{now.day:02}",
        "%hour%": f"{now.hour:02}",
        "%minute%": f"{now.minute:02}",
        "%second%": f"{now.second:02}",
    }
    for token, value in tokens.items():
        filled = filled.replace(token, value)
    return filled


def split_prefix(prefix: str) -> tuple[str, str]:
    """Return the subfolder and the prefix within it. Raises :class:`ValueError`."""
    try:
        return parse_prefix(prefix)
    except InvalidName as error:
        raise ValueError(f"invalid file name prefix {prefix!r}: {error}") from None


def _check(filename: str) -> str:
    try:
        return clean_filename(filename)
    except InvalidName as error:
        raise ValueError(str(error)) from None


def _date_part(part: str, now: datetime) -> str:
    values = {"y": now.year % 100, "M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}
    return str(now.year) if part == "yyyy" else f"{values[part[0]]:0{len(part)}}"
