"""``safelight usage``: what users of a running server used, by day, and what they wrote."""

from datetime import UTC, datetime
from pathlib import Path

import click

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import print_columns


@click.command()
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True)
@click.option("--messages", is_flag=True, help="Show the latest messages of users instead.")
@server_address
def usage(days: int, messages: bool, url: str, key_file: Path | None) -> None:
    """Show jobs and device time of each user on each day."""
    if messages:
        found = request("GET", "/api/admin/feedback", url=url, key_file=key_file)["messages"]
        print_columns(("at", "user", "about", "message"), [_message(each) for each in found])
        return
    used = request("GET", f"/api/admin/usage?days={days}", url=url, key_file=key_file)["days"]
    rows = [(_day(each["day"]), each["name"], str(each["jobs"]), f"{each['device_s']:.1f}") for each in used]
    print_columns(("day", "user", "jobs", "device s"), rows)


def _message(message: dict[str, str | int]) -> tuple[str, ...]:
    return (_day(int(message["at"])), str(message["user"]), str(message["type"]), str(message["content"]))


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
