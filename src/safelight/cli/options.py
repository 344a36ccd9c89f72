"""The options that ``serve`` and ``demo`` share, and their way into settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--host", help="Address to listen on (default 127.0.0.1)."),
    click.option("--port", type=int, help="Port to listen on (default 8188; 0 takes a free one)."),
    click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept (default ./data)."),
    click.option(
        "--models-dir",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A root of model folders; may be given again (default <data-dir>/models).",
    ),
    click.option(
        "--custom-nodes",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A folder of node packs; may be given again.",
    ),
    click.option("--workers", type=int, help="Engine processes on this machine (default 1)."),
    click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings."),
    click.option("--accounts", is_flag=True, default=None, help="Let nobody in without an account."),
    click.option("--insecure", is_flag=True, default=None, help="Listen beyond loopback without accounts."),
    click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="(default info)"),
)


def server_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line, by the names of settings."""
    return {name: value for name, value in options.items() if value not in (None, ())}
