"""``safelight audit``: who did what on a running server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import click

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import out, print_columns


@click.command()
@click.option("--action", default="", help="Only entries of this action, such as 'user.delete'.")
@click.option("--user", default="", help="Only what the user with this id did.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True)
@server_address
def audit(action: str, user: str, limit: int, offset: int, url: str, key_file: Path | None) -> None:
    """Show what administrators did and who signed in, the latest first."""
    query = urlencode({"action": action, "user": user, "limit": limit, "offset": offset})
    page = request("GET", f"/api/admin/audit?{query}", url=url, key_file=key_file)
    rows = [
        (
            datetime.fromtimestamp(entry["at"] / 1000, UTC).isoformat(timespec="seconds"),
            entry["user_name"],
            entry["action"],
            entry["subject"],
            json.dumps(entry["details"]) if entry["details"] else "",
        )
        for entry in page["entries"]
    ]
    print_columns(("at", "who", "did", "to", "details"), rows)
    if page["pagination"]["has_more"]:
        out.print(f"There are more entries; --offset {offset + limit} shows the next page.")
