"""The ``safelight`` command. Each sub-command has a module, which is imported when the sub-command is used."""

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
    "workflow",
    "usage",
    "audit",
    "run",
    "model",
    "pack",
    "verify",
    "gc",
    "housekeeping",
    "backup",
    "restore",
    "db",
    "blobs",
    "import",
)
_MODULES = {"import": "import_work"}
"""The modules of commands whose names Python does not allow for modules."""


class Commands(click.Group):
    """Finds ``safelight NAME`` as ``NAME`` in ``safelight.cli.NAME``, so that no command imports another's modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = getattr(import_module(f"safelight.cli.{module}"), module)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="safelight")
def cli() -> None:
    """Safelight: a self-hosted, multi-user server for ComfyUI workflows."""


def main() -> None:
    """Run a command. Errors that a user can act on are printed as one line, without a traceback."""
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
        file = f"{error.filename}: " if error.filename else ""
        click.echo(f"safelight: {file}{error.strerror or error}", err=True)
        sys.exit(1)


def _end(code: object) -> None:
    """End the process without finalizing the interpreter if the object-store library is loaded.

    Its threads may still call into Python, and then the interpreter would crash while it shuts down, after the work
    is done.
    """
    if "obstore" not in sys.modules:
        return
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)
