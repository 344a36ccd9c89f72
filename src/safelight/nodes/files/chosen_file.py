"""A file that a user chose in a combo: whether it is there, and what tells its content from another's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safelight.blobs.hashing import hash_file
from safelight.core.errors import InvalidName
from safelight.media.errors import told_as
from safelight.sdk import current


def judge(name: Any, *, kind: str) -> bool | str:
    """For ``validate_inputs``: ``True``, or what is wrong. A name that comes over a link is not known yet."""
    if name is None:
        return True
    try:
        current().input_path(str(name))
    except (FileNotFoundError, InvalidName):
        return f"Invalid {kind} file: {name}"
    return True


@contextmanager
def chosen(name: str) -> Iterator[Path]:
    """The file's path. What is wrong with it is told under the name that the user gave it, not that of its bytes."""
    path = current().input_path(name)
    with told_as(name, path):
        yield path


def content_of(name: str) -> str:
    """For ``fingerprint_inputs``: the digest of the bytes, since a name may get new ones."""
    return hash_file(current().input_path(name))
