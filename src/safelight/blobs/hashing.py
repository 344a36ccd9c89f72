"""Digests of bytes and files."""

from hashlib import sha256
from pathlib import Path

from blake3 import blake3

from safelight.core.digest import Digest, Sha256Digest

_CHUNK = 1024 * 1024


def hash_bytes(data: bytes) -> Digest:
    return Digest(blake3(data).hexdigest())


def hash_file_twice(path: Path) -> tuple[Digest, Sha256Digest]:
    """Both digests of a file, from one pass. Blocks while it reads."""
    hasher, other = blake3(), sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
            other.update(chunk)
    return Digest(hasher.hexdigest()), Sha256Digest(other.hexdigest())


def hash_file(path: Path) -> Digest:
    """The digest of a file. Blocks while it reads."""
    hasher = blake3()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return Digest(hasher.hexdigest())
