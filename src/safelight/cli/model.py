"""``safelight model``: files of weights, as they lie on disk; no server is needed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from safelight import settings as sources
from safelight.cli.console import out, print_columns
from safelight.cli.database import database_options
from safelight.cli.options import given
from safelight.core.errors import SafelightError
from safelight.core.model_folders import MODEL_FOLDERS, WEIGHTS
from safelight.dispatch.backends.process import scrub
from safelight.media.errors import UnreadableWeights
from safelight.media.weights_format import PickledWeights, WeightsFormat, check_weights
from safelight.services.model import ModelFiles
from safelight.settings import Settings

GGUF_IS_NOT_LOADED = "a GGUF file, which no loader reads; use the model's safetensors file"

_BASE_BYTES = 2**30
"""What Python itself may take beside what a file needs."""


class NotConverted(SafelightError):
    """A pickle that was not converted; the message says why. Nothing was written."""


@click.group()
def model() -> None:
    """Files of weights: what they are, and safetensors files of pickles."""


@model.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--models-dir", type=click.Path(path_type=Path), multiple=True, help="A root; may be given again.")
@database_options
def check(paths: tuple[Path, ...], config: Path | None, **options: Any) -> None:
    """Say of PATHS, or of all files in the model folders, what cannot be loaded; exit 1 if anything can't."""
    looked_at = paths or _weights(sources.load(overrides=given(options), config=config))
    refused = [(str(path), reason) for path in looked_at if (reason := _objection(path))]
    if not refused:
        out.print("Every file can be loaded.")
        return
    print_columns(("file", "why it is not loaded"), refused)
    raise SystemExit(1)


@model.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", "target", type=click.Path(path_type=Path), help="(default: PATH with .safetensors)")
def convert(path: Path, target: Path | None) -> None:
    """Write the tensors of the pickle PATH as a safetensors file. Nothing in the pickle is run."""
    target = target or path.with_suffix(".safetensors")
    if target.exists():
        raise NotConverted(f"{target} exists already; --out names another file")
    try:
        format = check_weights(path)
    except PickledWeights:
        convert_pickle(path, target)
        out.print(f"{target} has the tensors of {path}.")
    else:
        if format is WeightsFormat.GGUF:
            raise NotConverted(f"{path} is {GGUF_IS_NOT_LOADED}")
        raise NotConverted(f"{path} is {format} and can be loaded as it is")


def convert_pickle(path: Path, target: Path) -> None:
    """In a process that can do nothing else. Raises :class:`NotConverted`; ``target`` appears whole or not at all."""
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
                said = ran.stderr.strip().splitlines() or [f"the conversion ended with status {ran.returncode}"]
                raise NotConverted(f"{path}: {said[-1]}")
            check_weights(Path(made.name))
            os.fsync(made.fileno())
            os.chmod(made.name, path.stat().st_mode & 0o777)
            os.replace(made.name, target)
        except BaseException:
            os.unlink(made.name)
            raise


def _weights(settings: Settings) -> Iterator[Path]:
    """Once each, as the index of the server has them."""
    index = ModelFiles([root.resolve() for root in settings.model_roots], settings.models.extra_models)
    index.refresh()
    folders = (index.folders()[name] for name, folder in MODEL_FOLDERS.items() if folder.extensions is WEIGHTS)
    found = {path for places in folders for place in places for path in place.rglob("*.gguf")}  # in no list
    found |= {
        file.path
        for name, folder in MODEL_FOLDERS.items()
        if folder.extensions is WEIGHTS
        for file in index.files(name)
    }
    yield from sorted(found)


def _objection(path: Path) -> str | None:
    try:
        format = check_weights(path)
    except (UnreadableWeights, OSError) as error:
        return str(error)
    return f"{path.name} is {GGUF_IS_NOT_LOADED}" if format is WeightsFormat.GGUF else None
