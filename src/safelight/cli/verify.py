"""``safelight verify``: read every stored file, and report those that are damaged, missing or unknown."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.cli.maintenance import open_installation, size_text
from safelight.core.clock import SystemClock
from safelight.services import blob_check as blobs
from safelight.services.blob_check import Condition
from safelight.settings import Settings

IN_FLIGHT = timedelta(hours=1)
"""Upper bound of the time between an upload's last byte and its row in the database."""


@click.command()
@database_options
def verify(config: Path | None, data_dir: Path | None) -> None:
    """Hash every stored file. A server may be running. Exits with 1 if a file is damaged or missing."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    if not asyncio.run(_verify(settings)):
        raise SystemExit(1)


async def _verify(settings: Settings) -> bool:
    found: Counter[Condition] = Counter()
    size = 0
    before = SystemClock().now() - IN_FLIGHT
    async with open_installation(settings) as installation:
        async for finding in blobs.verify(installation.db, installation.blobs, before=before):
            found[finding.condition] += 1
            size += finding.size
            if finding.condition is not Condition.WHOLE:
                names = ", ".join(finding.names)
                line = f"{finding.condition.value}  {finding.digest}  {names}"
                out.print(line.rstrip(), markup=False, soft_wrap=True)
    counts = (
        f"{found[Condition.CORRUPT]} corrupt, {found[Condition.MISSING]} missing, {found[Condition.UNKNOWN]} unknown"
    )
    out.print(f"{found.total()} blobs, {size_text(size)}: {counts} (gc removes unknown blobs)")
    return not (found[Condition.CORRUPT] or found[Condition.MISSING])
