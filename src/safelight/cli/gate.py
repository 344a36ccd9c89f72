"""``safelight gate``: pause, drain or open the queue or a slot of a running server."""

from pathlib import Path
from urllib.parse import quote

import click

from safelight.cli.admin_client import request, server_address, show


@click.command()
@click.argument("mode", type=click.Choice(["open", "pause", "drain"]))
@click.argument("slot", required=False)
@click.option("--now", is_flag=True, help="With drain: stop running jobs and requeue them.")
@server_address
def gate(mode: str, slot: str | None, now: bool, url: str, key_file: Path | None) -> None:
    """Open, pause or drain a SLOT, or without one the whole queue. The mode survives a restart of the server.

    A paused queue starts no jobs; a draining queue accepts no new jobs and runs those that are queued. A paused slot
    gets no jobs; a drained slot also stops its worker process once its job has ended. Opening a slot also reopens one
    that the server shut because it lost one job after another.

    `drain --now` does not wait: running jobs stop immediately and go back to the queue; this does not count as a retry.
    The whole queue is then closed: it accepts and starts no jobs until you open it.
    """
    if now and mode != "drain":
        raise click.UsageError("--now can only be used with drain")
    if slot is None:
        modes = {"open": "open", "pause": "paused", "drain": "closed" if now else "draining"}
        path = "/api/admin/schedule/queue"
    else:
        modes = {"open": "open", "pause": "paused", "drain": "drained"}
        path = f"/api/admin/schedule/slots/{quote(slot, safe='')}"
    body = {"mode": modes[mode]} | ({"now": True} if now else {})
    show(request("PUT", path, url=url, key_file=key_file, body=body))
