"""``safelight gc``: remove stored files that nothing refers to any more."""

import asyncio
from datetime import timedelta
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.cli.maintenance import open_installation, size_text
from safelight.core.clock import SystemClock
from safelight.services import blob_check as blobs
from safelight.services.blob_check import Collected
from safelight.services.maintenance_lock import maintenance_lock
from safelight.settings import Settings


@click.command()
@click.option(
    "--protect-s",
    type=click.FloatRange(min=60),
    default=3600.0,
    show_default=True,
    help="Keep files stored within this many seconds: an upload may be about to refer to them.",
)
@database_options
def gc(protect_s: float, config: Path | None, data_dir: Path | None) -> None:
    """Remove stored files that nothing refers to any more. A server may be running."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    removed = asyncio.run(_collect(settings, timedelta(seconds=protect_s)))
    out.print(f"Removed {removed.blobs} blobs, {size_text(removed.size)}.")


async def _collect(settings: Settings, protected: timedelta) -> Collected:
    async with (
        open_installation(settings) as installation,
        maintenance_lock(settings.server.data_dir, database=settings.database),
    ):
        return await blobs.collect(installation.db, installation.blobs, before=SystemClock().now() - protected)
