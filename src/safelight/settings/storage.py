"""Where rows and bytes are stored."""

from dataclasses import dataclass, field
from typing import Annotated

from safelight.settings.declare import Bytes, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Database and files"""

    database_url: Annotated[
        str,
        doc("`postgresql://user:password@host/name`: [postgresql.md](postgresql.md).", default="SQLite in `data_dir`"),
    ] = field(default="", repr=False)
    blob_store: Annotated[
        str,
        doc(
            "Object store for files: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`: "
            "[object-storage.md](object-storage.md).",
            default="files in `data_dir`",
        ),
    ] = ""
    blob_endpoint: Annotated[
        str, doc("URL of an S3 store that is not Amazon's: `https://s3.example.org`.", default="the store's own")
    ] = ""
    blob_region: Annotated[str, doc("Region of the store.", default="the store's own")] = ""
    blob_access_key: Annotated[
        str, doc("Access key of the store; for Azure, the account.", default="from `AWS_*` and the like")
    ] = field(default="", repr=False)
    blob_secret_key: Annotated[str, doc("Secret key of the store.", default="from `AWS_*` and the like")] = field(
        default="", repr=False
    )
    blob_session_token: Annotated[
        str, doc("Session token of temporary credentials.", default="from `AWS_*` and the like")
    ] = field(default="", repr=False)
    blob_public_endpoint: Annotated[
        str, doc("URL of the store as browsers reach it, if it differs.", default="`blob_endpoint`")
    ] = ""
    blob_redirects: Annotated[
        bool, doc("Redirect browsers to signed URLs of the store for pictures and films (S3 only).")
    ] = False
    blob_cache_bytes: Annotated[
        Bytes,
        doc("Size of the local cache of an object store; with `ray_scratch`, also of each worker machine's cache."),
    ] = 10 * 1024**3
    replicas: Annotated[
        bool,
        doc(
            "This server is one of several that share a PostgreSQL database and the files. One of them leads and has "
            "the workers; the others answer clients and stand by: [scaling.md](scaling.md)."
        ),
    ] = False
    replica_url: Annotated[
        str,
        doc("URL at which the other replicas reach this server: `http://10.0.0.7:8188`.", default="its host and port"),
    ] = ""
