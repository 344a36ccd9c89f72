"""``safelight user``: who may sign in, and what they may use."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from safelight.cli.console import out, print_columns
from safelight.cli.database import database_options, write
from safelight.core.clock import SystemClock
from safelight.core.errors import Invalid
from safelight.core.user import Account, Identity, Quota, check_name, check_password
from safelight.db.transaction import Transaction
from safelight.services import user as users

_HEAD = ("name", "id", "rights", "signs in", "bytes", "queued", "running", "device s", "run s", "used s", "weight")
_QUOTAS = {
    "stored_bytes": "Bytes of files, workflows, settings and graphs of jobs.",
    "queued_jobs": "Jobs that wait.",
    "running_jobs": "Jobs that run at a time.",
    "device_s": "Seconds of a device, in all.",
    "run_limit_s": "Seconds that one job may run, in place of the server's limit; 0: without limit.",
}


@click.group()
def user() -> None:
    """Accounts. With the first one, the server lets nobody in without credentials."""


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="May see and do what concerns the whole server.")
@click.option("--no-password", is_flag=True, help="Signs in with API keys or identity tokens only.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@click.option("--issuer", default="", help="With --subject: an identity provider, as its tokens name it.")
@click.option("--subject", default="", help="The user's id there.")
@database_options
def add(name: str, admin: bool, no_password: bool, issuer: str, subject: str, password_stdin: bool, **at: Any) -> None:
    """Make an account."""
    check_name(name)
    password_hash = None if no_password else _ask_password(password_stdin)
    identity = _identity(issuer, subject)
    now = SystemClock().now()
    made = write(
        lambda tx: users.add(tx, name=name, is_admin=admin, password_hash=password_hash, identity=identity, now=now),
        **at,
    )
    out.print(f"{made.name} may sign in{' and is an administrator' if admin else ''}.")


@user.command(name="list")
@database_options
def list_users(**at: Any) -> None:
    """Show all accounts, their quotas and what they used."""
    print_columns(_HEAD, [_row(account) for account in write(users.list, **at)])


@user.command()
@click.argument("name")
@database_options
def disable(name: str, **at: Any) -> None:
    """End the user's sessions, keys and jobs for good, and let them in no more. Files and the history stay."""
    write(lambda tx: users.disable(tx, name=name, disabled=True, now=SystemClock().now()), **at)
    out.print(f"{name} is disabled; a running server acts on it within seconds, and ends their jobs.")


@user.command()
@click.argument("name")
@database_options
def enable(name: str, **at: Any) -> None:
    """Let a disabled user sign in again; keys have to be made anew."""
    write(lambda tx: users.disable(tx, name=name, disabled=False, now=SystemClock().now()), **at)
    out.print(f"{name} may sign in again.")


@user.command(name="set")
@click.argument("name")
@click.option("--admin/--no-admin", default=None, help="Rights over the whole server.")
@click.option("--password", "new_password", is_flag=True, help="Ask for a new password; ends the user's sessions.")
@click.option("--password-stdin", is_flag=True, help="Read the new password from standard input.")
@click.option("--issuer", default="", help="With --subject: an identity provider whose tokens stand for the user.")
@click.option("--subject", default="", help="The user's id there.")
@click.option("--stored-bytes", help=_QUOTAS["stored_bytes"] + " A number, or 'none' for no limit.")
@click.option("--queued-jobs", help=_QUOTAS["queued_jobs"])
@click.option("--running-jobs", help=_QUOTAS["running_jobs"])
@click.option("--device-s", help=_QUOTAS["device_s"])
@click.option("--run-limit-s", help=_QUOTAS["run_limit_s"] + " 'none': as the server says.")
@click.option("--weight", type=float, help="Share of the devices beside others who wait: 2 gets twice what 1 gets.")
@click.option("--reset-used", is_flag=True, help="Begin to count device-seconds anew.")
@database_options
def set_user(
    name: str,
    admin: bool | None,
    new_password: bool,
    password_stdin: bool,
    issuer: str,
    subject: str,
    weight: float | None,
    reset_used: bool,
    config: Path | None,
    data_dir: Path | None,
    **quotas: str | None,
) -> None:
    """Change an account: rights, password, quotas, weight. What is not given stays."""
    password_hash = _ask_password(password_stdin) if new_password or password_stdin else None
    identity = _identity(issuer, subject)
    changes: dict[str, Any] = {quota: _limit(quota, text) for quota, text in quotas.items() if text is not None}

    def change(tx: Transaction) -> Account:
        account = users.get_named(tx, name=name)
        if admin is not None:
            users.set_admin(tx, name=name, is_admin=admin)
        if password_hash is not None:
            users.set_password(tx, name=name, password_hash=password_hash)
        if identity is not None:
            users.set_identity(tx, name=name, identity=identity)
        if changes:
            users.set_quota(tx, name=name, quota=replace(account.quota, **changes))
        if weight is not None:
            users.set_weight(tx, name=name, weight=weight)
        if reset_used:
            users.reset_device_s(tx, name=name)
        return users.get_named(tx, name=name)

    print_columns(_HEAD, [_row(write(change, config=config, data_dir=data_dir))])


def _ask_password(from_stdin: bool) -> str:
    from safelight.services.password import hash_password

    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return hash_password(check_password(password))


def _identity(issuer: str, subject: str) -> Identity | None:
    if bool(issuer) != bool(subject):
        raise Invalid("--issuer and --subject belong together")
    return Identity(issuer=issuer, subject=subject) if subject else None


def _limit(quota: str, text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        number = float(text) if quota in ("device_s", "run_limit_s") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise Invalid(f"--{quota.replace('_', '-')} is {text!r}: a number from 0 is needed, or 'none'")
    return number


def _row(account: Account) -> list[str]:
    quota: Quota = account.quota
    rights = "disabled" if account.is_disabled else "admin" if account.is_admin else "user"
    limits = (quota.stored_bytes, quota.queued_jobs, quota.running_jobs, quota.device_s, quota.run_limit_s)
    shown = ["-" if limit is None else f"{limit:g}" if isinstance(limit, float) else str(limit) for limit in limits]
    sign_in = "password" if account.has_password else "keys, tokens"
    return [
        account.name,
        account.user_id,
        rights,
        sign_in,
        *shown,
        f"{account.used_device_s:.1f}",
        f"{account.weight:g}",
    ]
