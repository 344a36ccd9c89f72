"""``safelight backup``: copy a whole installation into a folder, while a server may be running."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import err, out
from safelight.cli.database import database_options
from safelight.cli.maintenance import open_installation, size_text
from safelight.core.clock import SystemClock
from safelight.services.backup import Manifest, back_up
from safelight.services.maintenance_lock import maintenance_lock
from safelight.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@database_options
def backup(folder: Path, config: Path | None, data_dir: Path | None) -> None:
    """Copy the database and all stored files into FOLDER, or update the backup that is there.

    The database may be SQLite or PostgreSQL, the files in a folder or an object store. A server may be running:
    everything it acknowledged before the backup began is included. Model files are not copied. Exits with 1 if stored
    files were already damaged or missing; all others are copied.
    """
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    made = asyncio.run(_back_up(settings, folder))
    out.print(f"Copied the database and {made.blobs} blobs ({size_text(made.size)}) into {folder.resolve()}.")
    if made.lost:
        err.print(f"{len(made.lost)} blobs are damaged or missing and could not be copied:")
        for digest in made.lost:
            out.print(digest)
        raise SystemExit(1)


async def _back_up(settings: Settings, folder: Path) -> Manifest:
    async with (
        open_installation(settings) as installation,
        maintenance_lock(settings.server.data_dir, database=settings.database),
    ):
        return await back_up(settings.database, installation.blobs, folder=folder, now=SystemClock().now())
