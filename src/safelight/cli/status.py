"""``safelight status``: what waits at a running server, what each of its slots does, and which packs failed."""

from pathlib import Path

import click

from safelight.cli.schedule import ask, server_address, show, show_packs


@click.command()
@server_address
def status(url: str, key_file: Path | None) -> None:
    """Show the queue and the slots of a running server, and node packs that could not be loaded."""
    show(ask("GET", "/api/admin/schedule", url=url, key_file=key_file))
    show_packs(ask("GET", "/api/admin/packs", url=url, key_file=key_file)["slots"])
