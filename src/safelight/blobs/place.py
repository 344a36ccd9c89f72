"""Where bytes are kept: a folder of this machine, or an object store by its address; and opening either.

The object store's library is imported when one is opened: a server with local files does without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from safelight.blobs.local import LocalBlobStore
from safelight.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from safelight.blobs.object import ObjectBlobStore

SCHEMES = ("s3", "gs", "az", "memory", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """``url``: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``, ``file:///folder``, or
    ``memory:///`` for tests; without one, ``folder``. What is empty is left to the store's own defaults, and to the
    customary variables of the environment. Secrets are kept out of ``repr``."""

    folder: Path
    url: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    public_endpoint: str = ""
    """The endpoint as browsers reach it; "": as this server does."""

    @property
    def scheme(self) -> str:
        """Raises :class:`Invalid` for an address of no store."""
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


def open_blobs(place: Place) -> LocalBlobStore | ObjectBlobStore:
    if not place.url:
        return LocalBlobStore(place.folder)
    try:
        from safelight.blobs.object import ObjectBlobStore
    except ImportError as error:
        raise Unavailable(f"an object store needs the package obstore (install safelight[objects]): {error}") from None
    return ObjectBlobStore(place)
