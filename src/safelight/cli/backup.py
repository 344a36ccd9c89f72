"""``safelight backup``: a copy of the whole installation into a folder, while a server runs."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import err, out
from safelight.cli.database import database_options
from safelight.cli.maintenance import alone, opened, shown_size
from safelight.core.clock import SystemClock
from safelight.core.errors import Unavailable
from safelight.db.engine import is_postgres
from safelight.services.backup import Manifest, back_up
from safelight.settings import Settings


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@database_options
def backup(folder: Path, config: Path | None, data_dir: Path | None) -> None:
    """Copy the database and all stored files into FOLDER, or bring the backup there up to date.

    A server may run meanwhile; what it had answered before is in the copy. Models are not: they are no files of users.
    Exit 1 when stored files were damaged or missing already, with the rest copied.
    """
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    if is_postgres(settings.database):
        raise Unavailable("a PostgreSQL database is backed up with pg_dump, and then the blobs are copied")
    made = asyncio.run(_back_up(settings, folder))
    out.print(f"Copied the database and {made.blobs} blobs ({shown_size(made.size)}) into {folder.resolve()}.")
    if made.lost:
        err.print(f"{len(made.lost)} blobs are damaged or missing here and could not be copied:")
        for digest in made.lost:
            out.print(digest)
        raise SystemExit(1)


async def _back_up(settings: Settings, folder: Path) -> Manifest:
    async with opened(settings) as here:
        with alone(settings.server.data_dir):
            return await back_up(settings.database, here.blobs, folder=folder, now=SystemClock().now())
