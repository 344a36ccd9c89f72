"""``safelight user``: accounts, their rights and their quotas."""

import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from safelight.cli.console import out, print_columns
from safelight.cli.database import database_options, write
from safelight.core.clock import SystemClock
from safelight.core.errors import Invalid
from safelight.core.user import Account, Identity, Quota, check_name, check_password
from safelight.db.transaction import Transaction
from safelight.services import audit, user_removal
from safelight.services import user as users
from safelight.services.audit import COMMAND_PRINCIPAL as COMMAND

_HEAD = ("name", "id", "rights", "signs in", "bytes", "queued", "running", "device s", "run s", "used s", "weight")
_QUOTAS = {
    "stored_bytes": "Maximum bytes of files, workflows, settings and job graphs.",
    "queued_jobs": "Maximum number of queued jobs.",
    "running_jobs": "Maximum number of jobs that run at the same time.",
    "device_s": "Maximum device time in seconds, over all jobs.",
    "run_limit_s": "Maximum seconds that one job may run, instead of the server's limit; 0: no limit.",
}


_ENDS_WITHIN_S = 30.0
"""How long deleting a user waits for their jobs to end."""


@click.group()
def user() -> None:
    """Manage accounts. Once there is an account, the server requires credentials."""


@user.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="Make the user an administrator of the server.")
@click.option("--no-password", is_flag=True, help="Set no password: the user has API keys or identity tokens only.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of prompting.")
@click.option("--issuer", default="", help="With --subject: the identity provider, as the 'iss' claim of its tokens.")
@click.option("--subject", default="", help="The user's id at the identity provider, the 'sub' claim.")
@database_options
def add(name: str, admin: bool, no_password: bool, issuer: str, subject: str, password_stdin: bool, **at: Any) -> None:
    """Create an account."""
    check_name(name)
    password_hash = None if no_password else _ask_password(password_stdin)
    identity = _identity(issuer, subject)
    now = _now()

    def create(tx: Transaction) -> Account:
        account = users.add(tx, name=name, is_admin=admin, password_hash=password_hash, identity=identity, now=now)
        audit.write(tx, COMMAND, action="user.add", subject=account.name, details={"is_admin": admin}, now=now)
        return account

    made = write(create, **at)
    out.print(f"{made.name} may sign in{' and is an administrator' if admin else ''}.")


@user.command(name="list")
@database_options
def list_users(**at: Any) -> None:
    """List all accounts with their quotas and device time used."""
    print_columns(_HEAD, [_row(account) for account in write(users.list, **at)])


@user.command()
@click.argument("name")
@database_options
def disable(name: str, **at: Any) -> None:
    """Disable an account: end its sessions and jobs and delete its keys. Files and history are kept."""
    write(lambda tx: _set_disabled(tx, name, disabled=True), **at)
    out.print(f"{name} is disabled. A running server refuses their requests and ends their jobs within seconds.")


@user.command()
@click.argument("name")
@database_options
def enable(name: str, **at: Any) -> None:
    """Let a disabled user sign in again. Their deleted keys are not restored."""
    write(lambda tx: _set_disabled(tx, name, disabled=False), **at)
    out.print(f"{name} may sign in again.")


@user.command()
@click.argument("name")
@click.argument("new_name")
@database_options
def rename(name: str, new_name: str, **at: Any) -> None:
    """Rename a user. Files, jobs, keys and sessions stay."""

    def change(tx: Transaction) -> Account:
        renamed = users.rename(tx, name=name, new_name=new_name)
        audit.write(tx, COMMAND, action="user.change", subject=name, details={"name": renamed.name}, now=_now())
        return renamed

    out.print(f"{name} is {write(change, **at).name} now.", markup=False)


@user.command()
@click.argument("name")
@click.confirmation_option(prompt="Delete the user with all their jobs, files and workflows?")
@database_options
def delete(name: str, **at: Any) -> None:
    """Delete a user with all their data. A running server ends their jobs first. It cannot be undone."""
    user_id = write(lambda tx: users.get_named(tx, name=name), **at).user_id
    write(lambda tx: user_removal.end(tx, COMMAND, user_id=user_id, now=_now()), **at)
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while not write(lambda tx: user_removal.has_ended(tx, user_id=user_id), **at) and time.monotonic() < deadline:
        time.sleep(0.5)
    write(lambda tx: user_removal.remove(tx, COMMAND, user_id=user_id, now=_now()), **at)
    out.print(f"{name} is deleted. The bytes of their files are freed by the next housekeeping.", markup=False)


@user.command(name="set")
@click.argument("name")
@click.option("--admin/--no-admin", default=None, help="Give or take the rights of an administrator.")
@click.option("--password", "new_password", is_flag=True, help="Prompt for a new password; ends the user's sessions.")
@click.option("--password-stdin", is_flag=True, help="Read the new password from standard input.")
@click.option("--issuer", default="", help="With --subject: the identity provider, as the 'iss' claim of its tokens.")
@click.option("--subject", default="", help="The user's id at the identity provider, the 'sub' claim.")
@click.option("--stored-bytes", help=_QUOTAS["stored_bytes"] + " A number, or 'none' for no limit.")
@click.option("--queued-jobs", help=_QUOTAS["queued_jobs"])
@click.option("--running-jobs", help=_QUOTAS["running_jobs"])
@click.option("--device-s", help=_QUOTAS["device_s"])
@click.option("--run-limit-s", help=_QUOTAS["run_limit_s"] + " 'none': the server's limit.")
@click.option("--weight", type=float, help="Share of the devices when users compete: 2 gets twice as much as 1.")
@click.option("--renew-days", help="Reset the used device time every so many days from now on; 'none': never.")
@click.option("--reset-used", is_flag=True, help="Reset the device time used to zero.")
@database_options
def set_user(
    name: str,
    admin: bool | None,
    new_password: bool,
    password_stdin: bool,
    issuer: str,
    subject: str,
    weight: float | None,
    renew_days: str | None,
    reset_used: bool,
    config: Path | None,
    data_dir: Path | None,
    **quotas: str | None,
) -> None:
    """Change the rights, password, quotas or weight of an account. Options that are not given change nothing."""
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
        if renew_days is not None:
            users.set_renewal(tx, name=name, every_s=_seconds(renew_days), now=_now())
        given = {"is_admin": admin, "password": password_hash is not None, "limits": changes, "weight": weight}
        details = {key: value for key, value in given.items() if value not in (None, False, {})}
        audit.write(tx, COMMAND, action="user.change", subject=name, details=details, now=_now())
        return users.get_named(tx, name=name)

    print_columns(_HEAD, [_row(write(change, config=config, data_dir=data_dir))])


def _set_disabled(tx: Transaction, name: str, *, disabled: bool) -> None:
    account = users.disable(tx, name=name, disabled=disabled, now=_now())
    details = {"is_disabled": disabled}
    audit.write(tx, COMMAND, action="user.change", subject=account.name, details=details, now=_now())


def _ask_password(from_stdin: bool) -> str:
    from safelight.services.password import hash_password

    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return hash_password(check_password(password))


def _seconds(days: str) -> int | None:
    if days.lower() == "none":
        return None
    try:
        return round(float(days) * 86400)
    except (ValueError, OverflowError):
        raise Invalid(f"invalid --renew-days {days!r}: use a number of days, or 'none'") from None


def _now() -> datetime:
    return SystemClock().now()


def _identity(issuer: str, subject: str) -> Identity | None:
    if bool(issuer) != bool(subject):
        raise Invalid("--issuer and --subject must be given together")
    return Identity(issuer=issuer, subject=subject) if subject else None


def _limit(quota: str, text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        number = float(text) if quota in ("device_s", "run_limit_s") else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise Invalid(f"invalid --{quota.replace('_', '-')} {text!r}: use a number that is not negative, or 'none'")
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
