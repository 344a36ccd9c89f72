"""``safelight db``: look at the database, bring it to the present schema, move it to PostgreSQL."""

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
    """Check, upgrade and move the database."""


@db.command()
@database_options
def check(config: Path | None, data_dir: Path | None) -> None:
    """Say which schema it has and what is broken; change nothing. Exit 1 unless it is whole and up to date."""
    from safelight.db import migrate
    from safelight.db.check import check

    found = asyncio.run(check(_existing(config, data_dir).database))
    for problem in found.problems:
        out.print(problem, markup=False, soft_wrap=True)
    if found.revision is None:
        state = "has no tables yet"
    elif found.is_present:
        state = f"has the present schema ({migrate.HEAD})"
    else:
        state = f"has the schema {found.revision or 'of the first days'}; the present one is {migrate.HEAD}"
    out.print(f"The database {state}; problems: {len(found.problems)}.")
    if found.problems or not found.is_present:
        raise SystemExit(1)


@db.command()
@database_options
def upgrade(config: Path | None, data_dir: Path | None) -> None:
    """Bring it to the present schema, as a server does when it starts. Also makes the tables of a new database."""
    from safelight.db import migrate
    from safelight.db.engine import Database

    settings = sources.load(overrides={"data_dir": data_dir}, config=config)

    async def run() -> None:
        await (await Database.open(settings.database, on_commit=lambda events: None)).close()

    asyncio.run(run())
    out.print(f"The database has the present schema ({migrate.HEAD}).")


@db.command()
@click.argument("target", metavar="URL")
@database_options
def copy(target: str, config: Path | None, data_dir: Path | None) -> None:
    """Copy the SQLite database of a data folder to the PostgreSQL database at URL, which must be new.

    All or nothing; each row is read back and compared. No server may run on either. Files stay where they are: start
    the server with the same data folder and database_url set to URL.
    """
    from safelight.db.copying import copy

    counts = asyncio.run(copy(_existing(config, data_dir).database, target))
    for name, count in counts.items():
        if count:
            out.print(f"{count:>10}  {name}", highlight=False)
    out.print(f"Copied and compared {sum(counts.values())} rows.")


def _existing(config: Path | None, data_dir: Path | None) -> Settings:
    """Raises :class:`Unavailable` where there is no database: a typing error must not make one."""
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    if not settings.storage.database_url and not (settings.server.data_dir / "safelight.db").exists():
        raise Unavailable(f"there is no Safelight in {settings.server.data_dir.resolve()}")
    return settings
