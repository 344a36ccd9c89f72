"""Direct access of commands to the database, also while a server runs; the server notices changes within a second."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from safelight import settings as sources
from safelight.core.clock import SystemClock
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import user as users

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def database_options(command: F) -> F:
    """Add ``--config`` and ``--data-dir``, which say where the database is."""
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings."),
        click.option("--data-dir", type=click.Path(path_type=Path), help="The server's folder (default ./data)."),
    ):
        command = option(command)
    return command


def write(fn: Callable[[Transaction], T], *, config: Path | None, data_dir: Path | None) -> T:
    """Run ``fn`` in one transaction."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)

    def work(tx: Transaction) -> T:
        users.ensure_local(tx, now=SystemClock().now())
        return fn(tx)

    async def run() -> T:
        db = await Database.open(settings.database, on_commit=lambda events: None)
        try:
            return await db.write(work)
        finally:
            await db.close()

    return asyncio.run(run())
