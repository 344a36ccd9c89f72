"""Paths of a user's small files."""

from safelight.core.asset import clean_subfolder
from safelight.core.errors import InvalidName


def clean_path(path: str) -> str:
    """``a/b.json``, without empty and dot segments. Raises :class:`InvalidName` for a path that leads outside."""
    clean = clean_subfolder(path)
    if not clean or path.endswith(("/", "\\")):
        raise InvalidName(f"{path!r} is not the path of a file")
    return clean
