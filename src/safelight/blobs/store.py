"""The port to the store of blobs: bytes under their digest. What only some stores can do has protocols of its own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from safelight.core.backoff import Backoff, RetryPolicy
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.errors import Invalid, NotFound, SafelightError, Unavailable


class BlobMissing(NotFound):
    """The store has no blob with that digest."""

    code = "blob_not_found"


class BlobCorrupt(SafelightError):
    """The bytes that the store holds under a digest are not those that were put there."""

    code = "blob_corrupt"

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"the stored bytes of {digest} are damaged")


class WrongDigest(Invalid):
    """Bytes do not match their digest."""

    code = "hash_mismatch"


def check_digest(digest: Digest, expected: Digest | None) -> None:
    """Raises :class:`WrongDigest`."""
    if expected not in (None, digest):
        raise WrongDigest(f"the bytes have the digest {digest}, not {expected}")


class StoreUnavailable(Unavailable):
    """The store does not answer, or answers with an error. Its blobs are readable again when it is back."""

    code = "storage_unavailable"


STORE_RETRY = RetryPolicy(StoreUnavailable, Backoff(first_s=0.5, longest_s=10.0), limit_s=300.0)
"""How long work waits for a store that is unreachable, before it fails."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """``kept_at``: when these bytes were last put into the store, even if it had them already."""

    digest: Digest
    size: int
    kept_at: datetime


class BlobWriter(Protocol):
    """An upload into the store, ended by ``finish`` or ``abort``; an ``abort`` after the end does nothing."""

    @property
    def size(self) -> int:
        """Bytes written so far."""
        ...

    @property
    def sha256(self) -> Sha256Digest:
        """Of the bytes written; known after ``finish``."""
        ...

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Store the bytes written, and return their digest and size once they would survive a power cut.

        Raises :class:`WrongDigest`, with nothing stored, if they do not match ``expected``.
        """
        ...

    async def abort(self) -> None: ...


class BlobStore(Protocol):
    """Law: bytes that ``finish`` or ``adopt`` acknowledged are read back unchanged until they are deleted, or reported
    as corrupt; a blob is complete or not there at all; storing the same bytes twice keeps one copy, and repairs a
    corrupt one. No coroutine blocks the event loop."""

    async def stat(self, digest: Digest) -> int | None:
        """The size in bytes, or ``None`` where there is no such blob."""
        ...

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        """Move a finished file into the store, and return its SHA-256.

        Raises :class:`WrongDigest` for a file that does not match ``digest``.
        """
        ...

    def writer(self) -> BlobWriter: ...

    def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``end`` (exclusive), in chunks. Raises :class:`BlobMissing` before the first.

        Reading a blob to its end yields the right bytes, or raises :class:`BlobCorrupt` in place of the last chunk. For
        a range this holds only where the store can check the whole blob (an object store cannot).
        """
        ...

    def local_path(self, digest: Digest) -> Path | None:
        """A file with the bytes, for reading only; ``None`` where the store has no files, or not this blob.

        Blocks: it may look at the file system.
        """
        ...

    def scan(self) -> AsyncIterator[StoredBlob]:
        """Every blob, in no order. Blobs that are added or removed meanwhile may or may not be included."""
        ...

    async def delete(self, digest: Digest, *, kept_before: datetime | None = None) -> bool:
        """Delete the blob; return whether it was there and is gone now.

        With ``kept_before``, a blob that was put into the store since then stays, even if that happens meanwhile.
        """
        ...


class Cleanable(Protocol):
    """A store in which a crash leaves files of unfinished uploads."""

    def clean_up(self, *, older_than_s: float = 0.0) -> None:
        """Remove them; with ``older_than_s``, only those that no other server can still be writing. Only the server of
        the store may call this, before it does anything else."""
        ...


class Sweepable(Protocol):
    """A store that is shared, so that unfinished uploads can only be removed once they are old."""

    async def sweep(self) -> None:
        """Remove unfinished uploads that are old. Raises :class:`StoreUnavailable`."""
        ...


class Checkable(Protocol):
    async def check(self) -> None:
        """Raises :class:`StoreUnavailable` if the store does not answer, or answers with an error."""
        ...


class Presigning(Protocol):
    """A store that others may read from or write to, by URLs that this server has signed."""

    async def sign_get(self, digest: Digest, *, content_type: str, disposition: str, expires_s: int) -> str | None:
        """A URL from which anybody may read the bytes for a while, answered with these headers; ``None`` where the
        store cannot be told which headers to send."""
        ...

    async def sign_transfer(self, method: Literal["GET", "PUT"], digest: Digest, *, expires_s: int) -> str | None:
        """A URL for a trusted worker machine to read the bytes or to put them, for a while. Whether the bytes match
        their digest is checked when they are read."""
        ...

    async def confirm(self, digest: Digest, *, size: int) -> None:
        """Return when bytes that were put at such a URL are there to stay. Raises :class:`BlobMissing`."""
        ...
