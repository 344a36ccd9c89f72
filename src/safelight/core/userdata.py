"""A user's small files: how their paths are read."""

from safelight.core.asset import clean_subfolder
from safelight.core.errors import InvalidName


def clean_path(path: str) -> str:
    """``a/b.json``, without empty and dot segments. Raises :class:`InvalidName` where it leads elsewhere."""
    clean = clean_subfolder(path)
    if not clean or path.endswith(("/", "\\")):
        raise InvalidName(f"{path!r} is not a file's path")
    return clean
