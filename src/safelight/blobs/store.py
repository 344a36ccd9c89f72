"""The port to where bytes are kept, by their digest."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from safelight.core.digest import Digest, Sha256Digest
from safelight.core.errors import Invalid, NotFound, SafelightError, Unavailable


class BlobMissing(NotFound):
    """The store has no bytes of that digest."""

    code = "blob_not_found"


class BlobCorrupt(SafelightError):
    """What the store holds under a digest is not what was put there."""

    code = "blob_corrupt"

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"the stored bytes of {digest} are damaged")


class WrongDigest(Invalid):
    """A file does not hold what its digest says."""

    code = "hash_mismatch"


class StoreAway(Unavailable):
    """The store does not answer, or not as it should; what it holds is there when it is back."""

    code = "storage_unavailable"


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """``kept_at``: when these bytes were last put into the store, also if they were there before."""

    digest: Digest
    size: int
    kept_at: datetime


class BlobWriter(Protocol):
    """Bytes on their way into the store, ended by ``finish`` or ``abort``; an ``abort`` after the end does nothing."""

    @property
    def size(self) -> int:
        """Bytes written so far."""
        ...

    @property
    def sha256(self) -> Sha256Digest:
        """Of what was written; known from ``finish`` on."""
        ...

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self) -> tuple[Digest, int]:
        """Keep what was written, and return its digest and size once it would survive a power cut."""
        ...

    async def abort(self) -> None: ...


class BlobStore(Protocol):
    """Law: what ``finish`` or ``adopt`` acknowledged is read back byte for byte until it is deleted, or is said to be
    corrupt; a blob is whole or not there at all; keeping the same bytes twice keeps them once, and heals them. No
    method blocks the event loop."""

    async def stat(self, digest: Digest) -> int | None:
        """The size in bytes, or ``None`` where there is no such blob."""
        ...

    async def adopt(self, path: Path, digest: Digest) -> Sha256Digest:
        """Move a finished file into the store, and return its other digest.

        Raises :class:`WrongDigest` for a file that holds something else.
        """
        ...

    def writer(self) -> BlobWriter: ...

    def read(self, digest: Digest, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to and without ``end``, in chunks. Raises :class:`BlobMissing` at the first.

        Whoever reads a blob to its end gets its own bytes or :class:`BlobCorrupt` in place of the last chunk. Of a part
        that is asked for, this is so where the store can look at the whole (an object store cannot).
        """
        ...

    def local_path(self, digest: Digest) -> Path | None:
        """A file with the bytes, to be read only; ``None`` where the store has no files, or not this one."""
        ...

    def scan(self) -> AsyncIterator[StoredBlob]:
        """Every blob, in no order; those that come or go meanwhile may be among them or not."""
        ...

    async def delete(self, digest: Digest, *, kept_before: datetime | None = None) -> bool:
        """Whether the blob was there and is gone now.

        With ``kept_before`` a blob that was put into the store since then stays, also when that happens meanwhile.
        """
        ...


class Links(Protocol):
    """A store from which others may read by themselves."""

    async def sign_get(self, digest: Digest, *, content_type: str, disposition: str, expires_s: int) -> str | None:
        """An address from which anybody may read the bytes for a while, answered with these headers; ``None`` where
        the store cannot be told what to say."""
        ...
