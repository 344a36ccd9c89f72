"""The errors of the domain; ``api/error_responses.py`` renders each one for HTTP.

::

    SafelightError
    ├── NotFound            the object does not exist, or is not the caller's: both look the same
    ├── Conflict            the state of the object does not allow it
    ├── Invalid             the caller's data is wrong
    │   ├── InvalidDigest
    │   ├── InvalidName
    │   ├── Unprocessable   well-formed, but cannot be carried out
    │   │   └── ReservedTag
    │   ├── UnsupportedMedia
    │   └── InvalidPrompt   carries errors in ComfyUI's shape
    ├── LimitExceeded       a limit of size or number
    │   └── TooLarge        the requested object is too large
    ├── Forbidden
    └── Unavailable         a part of the system cannot be reached at the moment
        └── StorageFull
"""

from collections.abc import Mapping
from typing import Any


class SafelightError(Exception):
    """An error that a caller can understand; its message is written for people."""

    code = "internal_error"

    @property
    def message(self) -> str:
        return str(self)

    @property
    def details(self) -> Mapping[str, Any] | None:
        """Plain data for programs, where the message alone is not enough."""
        return None


class NotFound(SafelightError):
    code = "not_found"


class Conflict(SafelightError):
    code = "conflict"


class Invalid(SafelightError):
    code = "invalid_request"


class InvalidDigest(Invalid):
    code = "invalid_hash"

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a blake3 digest (blake3: and 64 hex digits)")


class InvalidName(Invalid):
    code = "invalid_name"


class Unprocessable(Invalid):
    code = "unprocessable"


class ReservedTag(Unprocessable):
    code = "reserved_tag"


class UnsupportedMedia(Invalid):
    code = "unsupported_media_type"


class InvalidPrompt(Invalid):
    """A prompt that cannot run. ``error`` and ``node_errors`` have ComfyUI's shapes (docs/reference/behaviour.md)."""

    code = "invalid_prompt"

    def __init__(self, error: Mapping[str, Any], node_errors: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message", "The prompt is invalid")))
        self.error = error
        self.node_errors = node_errors


class LimitExceeded(SafelightError):
    code = "limit_exceeded"


class TooLarge(LimitExceeded):
    code = "too_large"


class Forbidden(SafelightError):
    code = "forbidden"


class Unavailable(SafelightError):
    code = "unavailable"


class StorageFull(Unavailable):
    code = "insufficient_storage"
