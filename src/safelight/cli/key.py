"""``safelight key``: API keys, with which programs act for a user."""

from typing import Any

import click

from safelight.cli.console import err, out, print_columns
from safelight.cli.database import database_options, write
from safelight.core.clock import SystemClock
from safelight.core.credential import ApiKey, KeyId, parse_key
from safelight.db.transaction import Transaction
from safelight.services import audit
from safelight.services import key as keys
from safelight.services.audit import COMMAND_PRINCIPAL as COMMAND


@click.group()
def key() -> None:
    """Manage API keys, which programs send as X-API-Key, as a bearer token, or as ?token= on /ws."""


@key.command()
@click.argument("user_name", metavar="USER")
@click.option("--label", default="", help="What the key is for.")
@database_options
def create(user_name: str, label: str, **at: Any) -> None:
    """Create a key for USER and print it. It is shown only this once."""
    now = SystemClock().now()

    def make(tx: Transaction) -> ApiKey:
        made = keys.create(tx, user_name=user_name, label=label, now=now)
        audit.write(tx, COMMAND, action="key.create", subject=made.id, details={"user": user_name}, now=now)
        return made

    made = write(make, **at)
    err.print(f"Created key {made.id} for {user_name}. It will not be shown again:")
    click.echo(made.text)


@key.command(name="list")
@database_options
def list_keys(**at: Any) -> None:
    """List all keys by id."""
    rows = [(row.id, row.owner, row.label, f"{row.created_at:%Y-%m-%d %H:%M}") for row in write(keys.list, **at)]
    print_columns(("id", "user", "label", "created"), rows)


@key.command()
@click.argument("key_id", metavar="KEY")
@database_options
def revoke(key_id: str, **at: Any) -> None:
    """Revoke KEY (its id or the whole key). A running server stops accepting it within a second."""
    whole = parse_key(key_id)
    revoked = whole.id if whole else KeyId(key_id)

    def drop(tx: Transaction) -> None:
        keys.revoke(tx, key_id=revoked)
        audit.write(tx, COMMAND, action="key.revoke", subject=revoked, now=SystemClock().now())

    write(drop, **at)
    out.print(f"Revoked key {revoked}.")
