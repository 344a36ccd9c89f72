"""``safelight run``: runs a graph on a running server, once or as a batch, and fetches its files."""

import json
import re
import shutil
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from safelight.cli.admin_client import request, server_address
from safelight.cli.console import err, out
from safelight.core.errors import Invalid

POLL_S = 0.5
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?::(-?\d+(?:\.\d+)?))?")
_ENDED = ("succeeded", "failed", "canceled")


@click.command()
@click.argument("graph", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NODE.INPUT=VALUES",
    help="Values of an input: 3.seed=1..100, 3.cfg=4..8:0.5, 6.text=a,b or 3.steps=20. Several: every combination.",
)
@click.option("--wait", is_flag=True, help="Wait for the end, with a progress bar.")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder for the files; waits.")
@server_address
def run(
    graph: Path, settings: tuple[str, ...], wait: bool, folder: Path | None, url: str, key_file: Path | None
) -> None:
    """Run GRAPH, a file in API format, for every combination of the values of --set."""
    try:
        workflow = json.loads(graph.read_text("utf-8"))
    except ValueError as error:
        raise Invalid(f"{graph} is not JSON: {error}") from None
    axes = dict(read_setting(text) for text in settings) or _as_it_is(workflow)
    body = {"workflow": workflow, "axes": axes}
    batch = request("POST", "/api/v2/batches", url=url, key_file=key_file, body=body)
    out.print(f"Batch {batch['id']}: {batch['total']} jobs.", markup=False)
    if not wait and folder is None:
        return
    status = _follow(batch["id"], batch["total"], url=url, key_file=key_file)
    if folder is not None:
        number = _fetch(batch["id"], folder, url=url, key_file=key_file)
        out.print(f"{number} files are in {folder}.", markup=False)
    if status != "succeeded":
        raise Invalid(f"the batch ended as {status}")


def read_setting(text: str) -> tuple[str, Any]:
    """An input and its values: ``3.seed=1..100`` is a range, ``6.text=a,b`` a list, ``3.steps=20`` one value; a JSON
    list is taken as it is.

    Raises :class:`Invalid`."""
    place, equals, values = text.partition("=")
    if not equals or "." not in place:
        raise Invalid(f"invalid --set {text!r}: write NODE.INPUT=VALUES, such as 3.seed=1..100")
    if match := _RANGE.fullmatch(values):
        start, end, step = (None if part is None else _number(part) for part in match.groups())
        return place, {"from": start, "to": end} | ({} if step is None else {"step": step})
    if values.startswith("["):
        try:
            listed = json.loads(values)
        except ValueError:
            raise Invalid(f"invalid --set {text!r}: the values are not a JSON list") from None
        return place, listed
    return place, [_value(part) for part in values.split(",")]


def _as_it_is(workflow: Any) -> dict[str, Any]:
    """A batch of one job: the first literal input keeps its value."""
    for node_id, node in workflow.items() if isinstance(workflow, dict) else ():
        for name, value in (node.get("inputs") or {}).items() if isinstance(node, dict) else ():
            if isinstance(value, str | int | float | bool):
                return {f"{node_id}.{name}": [value]}
    raise Invalid("the graph has no input with a value; use --set")


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text


def _follow(batch_id: str, total: int, *, url: str, key_file: Path | None) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("queued", total=total)
        while True:
            batch = request("GET", f"/api/v2/batches/{batch_id}", url=url, key_file=key_file)
            counts, status = batch["counts"], str(batch["status"])
            done = counts["succeeded"] + counts["failed"] + counts["canceled"]
            failed = f", {counts['failed']} failed" if counts["failed"] else ""
            progress.update(task, completed=done, description=f"{status}{failed}")
            if status in _ENDED:
                return status
            time.sleep(POLL_S)


def _fetch(batch_id: str, folder: Path, *, url: str, key_file: Path | None) -> int:
    """Download the zip and unpack it. Returns the number of files."""
    headers = {} if key_file is None else {"x-api-key": key_file.read_text("utf-8").strip()}
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f".{batch_id}.zip"
    sent = urllib.request.Request(f"{url.rstrip('/')}/api/v2/batches/{batch_id}/results.zip", headers=headers)
    try:
        with urllib.request.urlopen(sent) as response, archive.open("wb") as file:
            shutil.copyfileobj(response, file)
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if Path(name).name == name]
            for name in names:
                opened.extract(name, folder)
    finally:
        archive.unlink(missing_ok=True)
    return len(names)
