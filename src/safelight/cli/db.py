"""``safelight db``: check the database, upgrade its schema, copy it to PostgreSQL."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.core.errors import Unavailable
from safelight.settings import Settings


@click.group()
def db() -> None:
    """Check, upgrade and copy the database."""


@db.command()
@database_options
def check(config: Path | None, data_dir: Path | None) -> None:
    """Report the schema version and any damage, without changing anything.

    Exits with 1 unless the database is intact and up to date.
    """
    from safelight.db import migrate
    from safelight.db.check import check

    found = asyncio.run(check(_existing(config, data_dir).database))
    for problem in found.problems:
        out.print(problem, markup=False, soft_wrap=True)
    if found.revision is None:
        state = "has no tables yet"
    elif found.is_current:
        state = f"has the current schema ({migrate.HEAD})"
    else:
        state = f"has the schema {found.revision or 'of no revision'}; the current one is {migrate.HEAD}"
    out.print(f"The database {state}; problems: {len(found.problems)}.")
    if found.problems or not found.is_current:
        raise SystemExit(1)


@db.command()
@database_options
def upgrade(config: Path | None, data_dir: Path | None) -> None:
    """Upgrade the database to the current schema, as a server does at start. Creates the tables of a new database."""
    from safelight.db import migrate
    from safelight.db.engine import Database

    settings = sources.load(overrides={"data_dir": data_dir}, config=config)

    async def run() -> None:
        await (await Database.open(settings.database, on_commit=lambda events: None)).close()

    asyncio.run(run())
    out.print(f"The database has the current schema ({migrate.HEAD}).")


@db.command()
@click.argument("target", metavar="URL")
@database_options
def copy(target: str, config: Path | None, data_dir: Path | None) -> None:
    """Copy the SQLite database of a data folder to the PostgreSQL database at URL, which must be empty.

    Copies all or nothing, and compares every row afterwards. Stop all servers of both databases first. Stored files
    stay where they are: start the server with the same data folder, and with database_url set to URL.
    """
    from safelight.db.copying import copy

    counts = asyncio.run(copy(_existing(config, data_dir).database, target))
    for name, count in counts.items():
        if count:
            out.print(f"{count:>10}  {name}", highlight=False)
    out.print(f"Copied and compared {sum(counts.values())} rows.")


def _existing(config: Path | None, data_dir: Path | None) -> Settings:
    """The settings of a database that exists.

    Raises :class:`Unavailable` if there is none: a mistyped folder must not create one.
    """
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    if not settings.storage.database_url and not (settings.server.data_dir / "safelight.db").exists():
        raise Unavailable(f"there is no Safelight installation in {settings.server.data_dir.resolve()}")
    return settings
