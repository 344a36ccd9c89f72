"""``safelight gc``: remove the bytes to which nothing refers any more."""

import asyncio
from datetime import timedelta
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.cli.maintenance import alone, opened, shown_size
from safelight.core.clock import SystemClock
from safelight.services import blob as blobs
from safelight.services.blob import Collected
from safelight.settings import Settings


@click.command()
@click.option(
    "--protect-s",
    type=click.FloatRange(min=60),
    default=3600.0,
    show_default=True,
    help="Leave what was stored in the last so many seconds: an upload may be about to name it.",
)
@database_options
def gc(protect_s: float, config: Path | None, data_dir: Path | None) -> None:
    """Remove stored files that nothing refers to any more, also while a server runs."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    removed = asyncio.run(_collect(settings, timedelta(seconds=protect_s)))
    out.print(f"Removed {removed.blobs} blobs, {shown_size(removed.size)}.")


async def _collect(settings: Settings, protected: timedelta) -> Collected:
    async with opened(settings) as here:
        with alone(settings.server.data_dir):
            return await blobs.collect(here.db, here.blobs, before=SystemClock().now() - protected)
