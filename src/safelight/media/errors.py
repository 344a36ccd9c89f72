"""What can be wrong with files: bytes that cannot be read, and bytes that are not worth the memory."""

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
