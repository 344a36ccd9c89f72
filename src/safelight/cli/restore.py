"""``safelight restore``: make a new installation from a backup."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.blobs.stores import open_store
from safelight.cli.console import err, out
from safelight.cli.database import database_options
from safelight.cli.maintenance import size_text
from safelight.db.engine import is_postgres
from safelight.services.backup import CopyResult
from safelight.services.backup import restore as read_back
from safelight.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@database_options
def restore(folder: Path, config: Path | None, data_dir: Path | None) -> None:
    """Restore the backup in FOLDER to a new data folder, checking every byte. Existing files are never replaced.

    With `database_url`, the rows go to that PostgreSQL database, which must be empty; with `blob_store`, the files go
    to that store. No server may be running.
    """
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    copied = asyncio.run(_restore(settings, folder))
    folder = settings.server.data_dir.resolve()
    out.print(f"Restored the database and {copied.blobs} blobs ({size_text(copied.size)}) to {folder}.")
    if copied.lost:
        err.print(f"{len(copied.lost)} blobs were damaged or missing when the backup was made, and still are.")


async def _restore(settings: Settings, folder: Path) -> CopyResult:
    return await read_back(
        folder,
        database=settings.server.data_dir.resolve() / "safelight.db",
        blobs=open_store(settings.blobs).blobs,
        postgres=settings.database if is_postgres(settings.database) else "",
    )
