"""The ``safelight`` command: one module per sub-command, imported when it is asked for."""

import logging
import os
import sys
from importlib import import_module

import click

from safelight import __version__
from safelight.core.errors import SafelightError

COMMANDS = (
    "serve",
    "worker",
    "demo",
    "doctor",
    "user",
    "key",
    "status",
    "gate",
    "job",
    "model",
    "verify",
    "gc",
    "backup",
    "restore",
    "db",
    "blobs",
)


class Commands(click.Group):
    """``safelight NAME`` is ``NAME`` of ``safelight.cli.NAME``; the server starts without what the others need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"safelight.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="safelight")
def cli() -> None:
    """Safelight: a self-hosted, multi-user server for ComfyUI workflows."""


def main() -> None:
    """Run a command; what a person can understand ends as one line, never as a traceback."""
    try:
        _run()
    except SystemExit as end:
        _end(end.code)
        raise
    _end(0)


def _run() -> None:
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except SafelightError as error:
        click.echo(f"safelight: {error.message}", err=True)
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"safelight: {place}{error.strerror or error}", err=True)
        sys.exit(1)


def _end(code: object) -> None:
    """The threads of an object store's library may touch Python to the last, and an interpreter that is taken down
    meanwhile crashes, after the work was done: so then the process ends as it is."""
    if "obstore" not in sys.modules:
        return
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)
