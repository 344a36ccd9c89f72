"""``safelight gate``: pause, drain and open the queue or a slot of a running server."""

from pathlib import Path
from urllib.parse import quote

import click

from safelight.cli.schedule import ask, server_address, show


@click.command()
@click.argument("mode", type=click.Choice(["open", "pause", "drain"]))
@click.argument("slot", required=False)
@click.option("--now", is_flag=True, help="With drain: end what runs; those jobs go back to the queue.")
@server_address
def gate(mode: str, slot: str | None, now: bool, url: str, key_file: Path | None) -> None:
    """Let jobs through, or not; without SLOT for the whole queue. A restart changes nothing of it.

    A paused queue starts no job; a draining one accepts none and runs those that wait. A paused slot gets no job; a
    drained one has no worker process either, once its job is over. Opening a slot also opens one that was shut because
    it lost one job after another.

    `drain --now` does not wait: the jobs that run behind the gate end at once, go back to the queue, and lose no retry.
    The whole queue is closed then: it accepts no job and starts none, until it is opened.
    """
    if now and mode != "drain":
        raise click.UsageError("--now belongs to drain")
    if slot is None:
        modes = {"open": "open", "pause": "paused", "drain": "closed" if now else "draining"}
        path = "/api/admin/schedule/queue"
    else:
        modes = {"open": "open", "pause": "paused", "drain": "drained"}
        path = f"/api/admin/schedule/slots/{quote(slot, safe='')}"
    show(ask("PUT", path, url=url, key_file=key_file, body={"mode": modes[mode]} | ({"now": True} if now else {})))
