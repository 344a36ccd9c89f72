"""What can be wrong with files: bytes that cannot be read, and bytes that are not worth the memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safelight.core.errors import Invalid, LimitExceeded


class UnreadableMedia(Invalid):
    """The bytes are damaged, or of a format that is not read here."""

    code = "unreadable_media"


class MediaTooLarge(LimitExceeded):
    """Decoded, it would take more memory than a single file may."""

    code = "media_too_large"


class UnreadableWeights(Invalid):
    """No file of weights that is loaded here, or a damaged one."""

    code = "unreadable_weights"


@contextmanager
def told_as(name: str, path: Path) -> Iterator[None]:
    """Raise what is wrong with the file at ``path`` under the name that its owner gave it, not that of its bytes."""
    try:
        yield
    except (UnreadableMedia, MediaTooLarge, UnreadableWeights) as error:
        if path.name not in str(error):
            raise
        raise type(error)(str(error).replace(path.name, name)) from error
