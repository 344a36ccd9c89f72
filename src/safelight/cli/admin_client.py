"""Requests of commands to a running server, over HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from safelight.cli.console import out, print_columns
from safelight.core.errors import Invalid, Unavailable

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT_S = 10.0


def server_address(command: F) -> F:
    """Add ``--url``, the server's address, and ``--key-file``, the caller's credentials."""
    for option in (
        click.option("--url", default="http://127.0.0.1:8188", show_default=True, help="The server's URL."),
        click.option("--key-file", type=click.Path(path_type=Path), help="A file with an administrator's API key."),
    ):
        command = option(command)
    return command


def request(method: str, path: str, *, url: str, key_file: Path | None, body: Mapping[str, Any] | None = None) -> Any:
    """Send a request, and return the JSON of the response; ``None`` for one without a body.

    Raises :class:`Unavailable` if the server does not respond, and :class:`Invalid` with the message of its error.
    """
    headers = {"content-type": "application/json"}
    if key_file is not None:
        headers["x-api-key"] = key_file.read_text("utf-8").strip()
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url.rstrip("/") + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(sent, timeout=TIMEOUT_S) as response:
            return json.load(response) if response.status != 204 else None
    except urllib.error.HTTPError as error:
        raise Invalid(f"{url} returned {error.code}: {_message(error.read())}") from None
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise Unavailable(f"{url} does not respond: {getattr(error, 'reason', error)}") from None


def show(schedule: Mapping[str, Any]) -> None:
    """Print the queue and all slots."""
    queue = schedule["queue"]
    waiting = ", ".join(f"{count} for {pool or 'any worker'}" for pool, count in queue["waiting"].items())
    out.print(f"The queue is {queue['mode']}; waiting: {waiting or 'none'}.")
    print_columns(
        ("slot", "engine", "state", "mode", "labels", "user", "host", "device", "warm"),
        [_row(slot) for slot in schedule["slots"]],
    )
    for slot in schedule["slots"]:
        if slot.get("reason"):
            out.print(f"{slot['id']} is shut: {slot['reason']} (reopen it with: safelight gate open {slot['id']})")


def show_engines(slots: Sequence[Mapping[str, Any]], packs: Sequence[Mapping[str, Any]]) -> None:
    """Print the engine kinds with their versions and packs, and what of a ComfyUI cannot be used. ``packs``: the packs
    of each slot."""
    names = {slot["id"]: [pack["name"] for pack in slot["packs"]] for slot in packs}
    rows: dict[str, list[str]] = {}
    for slot in slots:
        if slot["version"]:  # an engine of the slot has been ready
            devices, found = ", ".join(slot["devices"]) or "-", ", ".join(names.get(slot["id"], ())) or "-"
            rows.setdefault(
                slot["engine"], [slot["engine"], slot["version"], slot["pytorch_version"] or "-", devices, found]
            )
        else:
            rows.setdefault(slot["engine"], [slot["engine"], "not started", "-", "-", "-"])
    print_columns(("engine", "version", "PyTorch", "device", "packs"), list(rows.values()))
    for engine, sentence in sorted({(slot["engine"], sentence) for slot in slots for sentence in slot["lacks"]}):
        out.print(f"{engine}: {sentence}")


def show_packs(slots: Sequence[Mapping[str, Any]]) -> None:
    """Print the packs that failed to load on any slot; nothing if there are none."""
    rows = {
        (slot["id"], failure["subject"], failure["reason"])
        for slot in slots
        for pack in slot["packs"]
        for failure in pack["failures"]
    }
    if rows:
        out.print("These node packs failed to load:")
        print_columns(("slot", "pack", "reason"), [list(row) for row in sorted(rows)])


def _row(slot: Mapping[str, Any]) -> list[str]:
    lists = {name: ", ".join(slot[name]) or "-" for name in ("labels", "devices", "warm_models")}
    plain = {name: slot[name] or "-" for name in ("id", "engine", "state", "mode", "user", "host")}
    columns = plain | lists
    names = ("id", "engine", "state", "mode", "labels", "user", "host", "devices", "warm_models")
    return [columns[name] for name in names]


def _message(body: bytes) -> str:
    try:
        answer = json.loads(body)
        return str(answer["error"]["message"] if "error" in answer else answer["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:200]
