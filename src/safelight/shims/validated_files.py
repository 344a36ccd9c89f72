"""The files of the user whose inputs are being validated.

Nodes validate their inputs in a thread of its own, before the job exists, while the input folder has the files of the
job that runs: maybe another user's. ``folder_paths`` answers from these files then, not from the folder.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_files: ContextVar[Mapping[str, str] | None] = ContextVar("validated_files", default=None)


@contextmanager
def validating(files: Mapping[str, str]) -> Iterator[None]:
    """``files``: readable paths by the names that the prompt has for them; an empty path is on another machine."""
    token = _files.set(files)
    try:
        yield
    finally:
        _files.reset(token)


def is_validating() -> bool:
    return _files.get() is not None


def validated_file(name: str) -> str | None:
    """The path of the user's file of that name; ``None`` if there is none."""
    return (_files.get() or {}).get(name)
