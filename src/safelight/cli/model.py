"""``safelight model``: check and convert model files on disk, without a server; list and import those of a server."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from safelight import settings as sources
from safelight.cli.admin_client import request, server_address
from safelight.cli.console import out, print_columns
from safelight.cli.database import database_options
from safelight.cli.maintenance import size_text
from safelight.cli.options import given
from safelight.core.errors import SafelightError
from safelight.core.model_folders import MODEL_FOLDERS, WEIGHTS, WEIGHTS_OR_GGUF
from safelight.dispatch.backends.process import scrub
from safelight.media.media_errors import UnreadableWeights
from safelight.media.weights_format import PickledWeights, WeightsFormat, check_weights
from safelight.services.model import ModelFiles
from safelight.settings import Settings

GGUF_IS_NOT_LOADED = "a GGUF file, which the loaders of this folder do not read; use a safetensors file"

_POLL_S = 1.0
_BASE_BYTES = 2**30
"""Memory for Python itself, on top of what the file needs."""


class NotConverted(SafelightError):
    """A pickle was not converted; the message says why. Nothing was written."""


class NotWritten(SafelightError):
    """Miniature weights were not written; the message says why."""


@click.group()
def model() -> None:
    """Check, convert, list and import model files, and write miniature weights."""


@model.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--models-dir", type=click.Path(path_type=Path), multiple=True, help="A root of models; repeatable.")
@database_options
def check(paths: tuple[Path, ...], config: Path | None, **options: Any) -> None:
    """Report which of PATHS cannot be loaded, by default of all files in the model folders. Exits with 1 if any."""
    checked = [(path, True) for path in paths] or _weights(sources.load(overrides=given(options), config=config))
    refused = [(str(path), reason) for path, reads_gguf in checked if (reason := _why_refused(path, reads_gguf))]
    if not refused:
        out.print("Every file can be loaded.")
        return
    print_columns(("file", "why it cannot be loaded"), refused)
    raise SystemExit(1)


@model.command(name="list")
@server_address
def list_models(url: str, key_file: Path | None) -> None:
    """List the model files of a running server, with their last use and license."""
    found = request("GET", "/api/admin/models", url=url, key_file=key_file)["models"]
    rows = [
        (
            each["folder"],
            each["name"],
            size_text(each["size"]),
            datetime.fromtimestamp(each["last_used_at"] / 1000, UTC).date().isoformat()
            if each["last_used_at"]
            else "-",
            str(each["source"].get("license", "-")),
        )
        for each in found
    ]
    print_columns(("folder", "file", "size", "last used", "license"), rows)


@model.command(name="import")
@click.argument("address")
@click.argument("folder")
@click.option("--name", default="", help="The file's name in the folder; by default as in the address.")
@server_address
def import_model(address: str, folder: str, name: str, url: str, key_file: Path | None) -> None:
    """Let a running server download the model at ADDRESS into its model FOLDER, such as 'checkpoints', and wait."""
    name = name or unquote(urlsplit(address).path.rpartition("/")[2])
    path = "/api/admin/models/imports"
    body = {"url": address, "folder": folder, "name": name}
    task = request("POST", path, url=url, key_file=key_file, body=body)
    while task["status"] not in ("completed", "failed"):
        time.sleep(_POLL_S)
        listed = request("GET", path, url=url, key_file=key_file)["imports"]
        task = next(each for each in listed if each["id"] == task["id"])
        out.print(f"{size_text(task['bytes_downloaded'])} of {size_text(task['bytes_total'] or 0)}")
    if task["status"] == "failed":
        raise NotWritten(f"{name} was not imported: {task['error']}")
    out.print(f"{folder}/{name} is on the server.", markup=False)


@model.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", "target", type=click.Path(path_type=Path), help="(default: PATH, as .safetensors)")
def convert(path: Path, target: Path | None) -> None:
    """Write the tensors of the pickle PATH to a safetensors file. No code in the pickle is run."""
    target = target or path.with_suffix(".safetensors")
    if target.exists():
        raise NotConverted(f"{target} exists already; choose another file with --out")
    try:
        format = check_weights(path)
    except PickledWeights:
        convert_pickle(path, target)
        out.print(f"Wrote the tensors of {path} to {target}.")
    else:
        if format is WeightsFormat.GGUF:
            raise NotConverted(f"{path} is a GGUF file, which is loaded as it is or not at all")
        raise NotConverted(f"{path} is {format} and can be loaded without conversion")


@model.command()
@click.argument("name", required=False)
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
def miniature(name: str | None, directory: Path | None) -> None:
    """Write small random weights of the model NAME below DIRECTORY, a root of models, so that a graph can be tried
    before its models are downloaded. Without arguments, list the names."""
    if name is not None and directory is None:
        raise click.UsageError(f"DIRECTORY is missing: where should the files of {name!r} go?")
    arguments = [] if name is None else [name, str(directory)]
    command = [sys.executable, "-P", "-m", "safelight.models.miniatures", *arguments]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=scrub(sources.process_environment()))
    if ran.returncode:
        lines = ran.stderr.strip().splitlines() or [f"the writer exited with status {ran.returncode}"]
        raise NotWritten(lines[-1])


def convert_pickle(path: Path, target: Path) -> None:
    """Convert in a process that can do nothing else. ``target`` appears complete or not at all.

    Raises :class:`NotConverted`.
    """
    size = path.stat().st_size
    command = [sys.executable, "-P", "-m", "safelight.media.convert_weights"]
    limits = ["--memory-bytes", str(_BASE_BYTES + 3 * size), "--file-bytes", str(_BASE_BYTES // 16 + 2 * size)]
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as made:
        try:
            with path.open("rb") as source:
                ran = subprocess.run(
                    [*command, *limits],
                    stdin=source,
                    stdout=made,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=scrub(sources.process_environment()),
                )
            if ran.returncode:
                errors = ran.stderr.strip().splitlines() or [f"the conversion exited with status {ran.returncode}"]
                raise NotConverted(f"{path}: {errors[-1]}")
            check_weights(Path(made.name))
            os.fsync(made.fileno())
            os.chmod(made.name, path.stat().st_mode & 0o777)
            os.replace(made.name, target)
        except BaseException:
            os.unlink(made.name)
            raise


def _weights(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Every model file that the server's index has, once each, and GGUF files that it leaves out; with whether the
    loaders of its folder read GGUF files."""
    index = ModelFiles([root.resolve() for root in settings.model_roots], settings.extra_models)
    index.refresh()
    places = index.folders()
    found: dict[Path, bool] = {}
    for name, folder in MODEL_FOLDERS.items():
        if folder.extensions not in (WEIGHTS, WEIGHTS_OR_GGUF):
            continue
        reads_gguf = folder.extensions == WEIGHTS_OR_GGUF
        files = [file.path for file in index.files(name)]
        for path in [*files, *(path for place in places[name] for path in place.rglob("*.gguf"))]:
            found[path] = found.get(path, False) or reads_gguf
    yield from sorted(found.items())


def _why_refused(path: Path, reads_gguf: bool) -> str | None:
    try:
        format = check_weights(path)
    except (UnreadableWeights, OSError) as error:
        return str(error)
    return f"{path.name} is {GGUF_IS_NOT_LOADED}" if format is WeightsFormat.GGUF and not reads_gguf else None
