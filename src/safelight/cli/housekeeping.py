"""``safelight housekeeping``: what a running server removes by itself, and a run on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import out, print_columns
from safelight.cli.maintenance import size_text

PATH = "/api/admin/housekeeping"


@click.command()
@click.option("--run", "is_run", is_flag=True, help="Run it now, and wait for its end.")
@server_address
def housekeeping(is_run: bool, url: str, key_file: Path | None) -> None:
    """Show what is due, and what the last run removed."""
    if is_run:
        state = request("POST", f"{PATH}/run", url=url, key_file=key_file, body={})
    else:
        state = request("GET", PATH, url=url, key_file=key_file)
    hours = state["every_s"] / 3600
    out.print(f"It runs every {hours:g} hours." if hours else "It runs on request only.")
    print_columns(
        ("what", "removed after", "due now"),
        [(rule["kind"], _age(rule["age_s"]), _amount(rule["due"])) for rule in state["rules"]],
    )
    if plan := state["backups"]:
        latest = plan["latest"]
        out.print(
            f"Backups: {plan['count']} of {plan['kept']} in {plan['folder']}; the latest: "
            f"{latest['at'] if latest else 'none yet'}."
        )
    if last := state["last"]:
        removed = ", ".join(f"{_amount(amount)} {kind}" for kind, amount in last["removed"].items() if amount["count"])
        freed = "not collected" if last["freed"] is None else size_text(last["freed"]["bytes"])
        out.print(f"Last run {last['at']}: removed {removed or 'nothing'}; freed {freed}. {last['error']}".strip())


def _age(seconds: float) -> str:
    return f"{seconds / 86400:g} days" if seconds else "never"


def _amount(amount: Mapping[str, Any]) -> str:
    return f"{amount['count']} ({size_text(amount['bytes'])})" if amount["bytes"] else str(amount["count"])
