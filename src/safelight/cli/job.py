"""``safelight job``: the jobs of all users of a running server, for its administrator."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import out, print_columns

_PATH = "/api/admin/jobs"
_HEAD = ("user", "name", "job", "status", "pool", "created", "started", "ended", "error")


@click.group()
def job() -> None:
    """Manage the jobs of all users. A job is named by its owner's id and its own id."""


@job.command(name="list")
@click.option("--status", type=click.Choice(["queued", "running", "ended"]), default="running", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True)
@server_address
def list_jobs(status: str, limit: int, offset: int, url: str, key_file: Path | None) -> None:
    """List the jobs that are running, queued or ended."""
    query = f"{_PATH}?status={status}&limit={limit}&offset={offset}"
    page = request("GET", query, url=url, key_file=key_file)
    print_columns(_HEAD, [_row(each) for each in page["jobs"]])
    if page["pagination"]["has_more"]:
        out.print(f"There are more jobs; --offset {offset + limit} shows the next page.")


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def show(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Show a job's node types, times and error."""
    found = request("GET", _path(user, job_id), url=url, key_file=key_file)
    print_columns(_HEAD, [_row(found)])
    out.print(f"Node types: {', '.join(found['node_types'])}", markup=False)
    if found["error"]:
        out.print("".join(found["error"]["traceback"]) + found["error"]["message"], markup=False)


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def logs(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Show what a job's nodes printed, and how it ended."""
    found = request("GET", f"{_path(user, job_id)}/logs", url=url, key_file=key_file)
    if found["truncated"]:
        out.print("(the beginning is not kept)")
    for entry in found["entries"]:
        out.print(f"{_time(entry['t'])} {entry['m']}", markup=False, end="")


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def cancel(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Cancel a queued or running job."""
    response = request("POST", f"{_path(user, job_id)}/cancel", url=url, key_file=key_file)
    is_new = response["cancelled"]
    out.print("The job is being cancelled." if is_new else "The job has ended, or is already being cancelled.")


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def retry(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Queue an ended job again, as a new job of its owner."""
    new = request("POST", f"{_path(user, job_id)}/retry", url=url, key_file=key_file, body={})
    out.print(f"It is queued again as {new['id']}.", markup=False)


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def front(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Run a waiting job before the other jobs of its owner."""
    request("POST", f"{_path(user, job_id)}/front", url=url, key_file=key_file, body={})
    out.print("The job is the first of its owner's.")


@job.command()
@click.argument("user")
@click.argument("job_id")
@server_address
def delete(user: str, job_id: str, url: str, key_file: Path | None) -> None:
    """Delete a queued or ended job for good. Its files are kept."""
    request("DELETE", _path(user, job_id), url=url, key_file=key_file)
    out.print("Deleted the job.")


def _path(user: str, job_id: str) -> str:
    return f"{_PATH}/{quote(user, safe='')}/{quote(job_id, safe='')}"


def _row(job: Mapping[str, Any]) -> list[str]:
    times = [_time(job[name]) for name in ("create_time", "execution_start_time", "execution_end_time")]
    error = f"{job['error']['type']}: {job['error']['message']}".strip() if job["error"] else "-"
    return [job["user"], job.get("user_name") or "-", job["id"], job["status"], job["pool"] or "-", *times, error]


def _time(at_ms: int | None) -> str:
    return "-" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000):%Y-%m-%d %H:%M:%S}"
