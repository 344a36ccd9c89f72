"""Errors of files: unreadable bytes, and files that would take too much memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safelight.core.errors import Invalid, LimitExceeded


class UnreadableMedia(Invalid):
    """The bytes are damaged, or in an unsupported format."""

    code = "unreadable_media"


class MediaTooLarge(LimitExceeded):
    """Decoded, the file would take more memory than the limit for one file."""

    code = "media_too_large"


class UnreadableWeights(Invalid):
    """Not a supported weights file, or a damaged one."""

    code = "unreadable_weights"


@contextmanager
def report_as(name: str, path: Path) -> Iterator[None]:
    """Raise errors about the file at ``path`` under the name that its owner gave it, instead of that of its bytes."""
    try:
        yield
    except (UnreadableMedia, MediaTooLarge, UnreadableWeights) as error:
        if path.name not in str(error):
            raise
        raise type(error)(str(error).replace(path.name, name)) from error
