"""A file that a user chose in a combo: whether it exists, its path, and the digest of its content."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safelight.blobs.hashing import hash_file
from safelight.core.errors import InvalidName
from safelight.media.media_errors import report_as
from safelight.sdk import current


def check_input_file(name: Any, *, kind: str) -> bool | str:
    """For ``validate_inputs``: ``True``, or an error message. A name that comes over a link is not known yet."""
    if name is None:
        return True
    try:
        current().input_path(str(name))
    except (FileNotFoundError, InvalidName):
        return f"Invalid {kind} file: {name}"
    return True


@contextmanager
def input_file(name: str) -> Iterator[Path]:
    """Yield the file's path. Errors about the file name it as the user did, not as its bytes are named on disk."""
    path = current().input_path(name)
    with report_as(name, path):
        yield path


def content_digest(name: str) -> str:
    """For ``fingerprint_inputs``: the digest of the bytes, because a name can get new content."""
    return hash_file(current().input_path(name))
