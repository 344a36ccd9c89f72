"""``safelight verify``: read every blob and say what is damaged, missing, or nobody's."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.cli.maintenance import opened, shown_size
from safelight.core.clock import SystemClock
from safelight.services import blob as blobs
from safelight.services.blob import Condition
from safelight.settings import Settings

IN_FLIGHT = timedelta(hours=1)
"""How long an upload may take from its last byte to its row, with plenty to spare."""


@click.command()
@database_options
def verify(config: Path | None, data_dir: Path | None) -> None:
    """Hash every stored file, also while a server runs. Exit 1 when a file is damaged or missing."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    if not asyncio.run(_verify(settings)):
        raise SystemExit(1)


async def _verify(settings: Settings) -> bool:
    found: Counter[Condition] = Counter()
    size = 0
    async with opened(settings) as here:
        async for finding in blobs.verify(here.db, here.blobs, before=SystemClock().now() - IN_FLIGHT):
            found[finding.condition] += 1
            size += finding.size
            if finding.condition is not Condition.WHOLE:
                named = ", ".join(finding.names)
                out.print(
                    f"{finding.condition.value}  {finding.digest}  {named}".rstrip(), markup=False, soft_wrap=True
                )
    counts = (
        f"{found[Condition.CORRUPT]} corrupt, {found[Condition.MISSING]} missing, {found[Condition.UNKNOWN]} unknown"
    )
    out.print(f"{found.total()} blobs, {shown_size(size)}: {counts} (gc removes the unknown)")
    return not (found[Condition.CORRUPT] or found[Condition.MISSING])
