"""The digest of a blob: blake3, 32 bytes, written as 64 lower-case hex digits; on the wire ``blake3:<hex>``."""

import re
from typing import NewType

from safelight.core.errors import InvalidDigest

Digest = NewType("Digest", str)
"""64 lower-case hex digits, without the algorithm's name."""

Sha256Digest = NewType("Sha256Digest", str)
"""64 lower-case hex digits: the second digest of a blob, which other sites use."""

_HEX = re.compile(r"[0-9a-f]{64}")

_DIGEST_NAME = re.compile(r"([0-9a-f]{64})(\.[A-Za-z0-9]{1,16})?")


def parse_digest(text: str) -> Digest:
    """Read ``<hex>`` or ``blake3:<hex>``. Raises :class:`InvalidDigest` for anything else."""
    bare = text.removeprefix("blake3:")
    if not _HEX.fullmatch(bare):
        raise InvalidDigest(text)
    return Digest(bare)


def parse_sha256(text: str) -> Sha256Digest:
    """Raises :class:`InvalidDigest`."""
    if not _HEX.fullmatch(text):
        raise InvalidDigest(text)
    return Sha256Digest(text)


def tagged(digest: Digest) -> str:
    """The contract's spelling, ``blake3:<hex>``."""
    return f"blake3:{digest}"


def digest_in_name(filename: str) -> Digest | None:
    """The digest in a name such as ``<blake3>.png``, by which clients of Comfy Cloud refer to files; else ``None``."""
    match = _DIGEST_NAME.fullmatch(filename)
    return Digest(match[1]) if match else None
