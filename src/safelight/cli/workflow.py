"""``safelight workflow``: workflows that all users of a running server find among the templates."""

import json
from pathlib import Path
from urllib.parse import quote

import click

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import out, print_columns
from safelight.core.errors import Invalid

_PATH = "/api/admin/workflows"


@click.group()
def workflow() -> None:
    """Give workflows to everybody, list them, and withdraw them."""


@workflow.command(name="list")
@server_address
def list_workflows(url: str, key_file: Path | None) -> None:
    """List the workflows for everybody."""
    found = request("GET", _PATH, url=url, key_file=key_file)["workflows"]
    print_columns(("name", "given by"), [(each["name"], each["given_by"]) for each in found])


@workflow.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", default="", help="Its name; by default that of the file.")
@server_address
def give(file: Path, name: str, url: str, key_file: Path | None) -> None:
    """Give the workflow in FILE, as the web UI exports it, to everybody. One of that name is replaced."""
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        raise Invalid(f"{file} is not a workflow: it is not JSON") from None
    name = name or file.stem
    request("PUT", f"{_PATH}/{quote(name, safe='')}", url=url, key_file=key_file, body=content)
    out.print(f"{name} is given to everybody.", markup=False)


@workflow.command()
@click.argument("name")
@server_address
def withdraw(name: str, url: str, key_file: Path | None) -> None:
    """Withdraw a workflow; copies that users have opened and saved stay."""
    request("DELETE", f"{_PATH}/{quote(name, safe='')}", url=url, key_file=key_file)
    out.print(f"{name} is withdrawn.", markup=False)
