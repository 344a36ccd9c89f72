"""``safelight status``: what waits at a running server, and what each of its slots does."""

from pathlib import Path

import click

from safelight.cli.schedule import ask, server_address, show


@click.command()
@server_address
def status(url: str, key_file: Path | None) -> None:
    """Show the queue and the slots of a running server."""
    show(ask("GET", "/api/admin/schedule", url=url, key_file=key_file))
