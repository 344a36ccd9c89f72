"""Opening the blob store that the settings name: a folder of this machine, or an object store.

The object store's library is imported when one is opened: a server with local files does not need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from safelight.blobs.local import LocalBlobStore
from safelight.blobs.store import BlobStore, Checkable, Cleanable, Presigning, Sweepable
from safelight.core.errors import Invalid, Unavailable

SCHEMES = ("s3", "gs", "az", "memory", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStoreConfig:
    """``url``: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``, ``file:///folder``, or
    ``memory:///`` for tests; without one, files in ``folder``. An empty field is left to the store's own defaults and
    to its usual environment variables. Secrets are kept out of ``repr``."""

    folder: Path
    url: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    public_endpoint: str = ""
    """The endpoint as browsers reach it; "": the same as this server's."""

    @property
    def scheme(self) -> str:
        """Raises :class:`Invalid` for a URL that does not name a store."""
        try:
            url = urlsplit(self.url)
        except ValueError:
            raise Invalid(f"{self.url!r} is not the address of an object store") from None
        is_whole = bool(url.netloc) != (url.scheme in ("memory", "file"))
        if url.scheme not in SCHEMES or not is_whole or url.query or url.fragment or url.username:
            raise Invalid(
                f"{self.url!r} is not the address of an object store, such as s3://bucket/prefix, gs://bucket or "
                "az://container"
            )
        return url.scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """A blob store and what else it can do; ``None`` for what it cannot."""

    blobs: BlobStore
    cleanable: Cleanable | None = None
    sweepable: Sweepable | None = None
    presigning: Presigning | None = None
    checkable: Checkable | None = None


def open_store(config: BlobStoreConfig) -> OpenStore:
    """Raises :class:`Unavailable` where the library of object stores is not installed."""
    if not config.url:
        local = LocalBlobStore(config.folder)
        return OpenStore(blobs=local, cleanable=local)
    try:
        from safelight.blobs.object import ObjectBlobStore
    except ImportError as error:
        raise Unavailable(f"an object store needs the package obstore (install safelight[objects]): {error}") from None
    store = ObjectBlobStore(config)
    return OpenStore(blobs=store, sweepable=store, presigning=store, checkable=store)
