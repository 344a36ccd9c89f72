"""A file that a user chose in a combo: whether it is there, and what tells its content from another's."""

from typing import Any

from safelight.blobs.hashing import hash_file
from safelight.core.errors import InvalidName
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


def content_of(name: str) -> str:
    """For ``fingerprint_inputs``: the digest of the bytes, since a name may get new ones."""
    return hash_file(current().input_path(name))
