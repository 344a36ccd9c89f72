"""``safelight status``: the queue, the slots and the engines of a running server, and the packs that failed to load."""

from pathlib import Path

import click

from safelight.cli.admin_client import request, server_address, show, show_engines, show_packs


@click.command()
@server_address
def status(url: str, key_file: Path | None) -> None:
    """Show the queue, the slots and the engines of a running server, and the node packs that failed to load."""
    schedule = request("GET", "/api/admin/schedule", url=url, key_file=key_file)
    packs = request("GET", "/api/admin/packs", url=url, key_file=key_file)["slots"]
    show(schedule)
    show_engines(schedule["slots"], packs)
    show_packs(packs)
