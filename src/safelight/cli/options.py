"""The options that ``serve`` and ``doctor`` share; each overrides the setting of its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--host", help="Address to listen on (default 127.0.0.1)."),
    click.option("--port", type=int, help="Port to listen on (default 8188; 0: a free one)."),
    click.option(
        "--data-dir", type=click.Path(path_type=Path), help="Folder for the database and files (default ./data)."
    ),
    click.option(
        "--models-dir",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A root of model folders; repeatable (default <data-dir>/models).",
    ),
    click.option(
        "--custom-nodes",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A folder of node packs; repeatable.",
    ),
    click.option(
        "--engine",
        "engines",
        multiple=True,
        help="An engine that runs jobs: `safelight` (the default), or `comfyui=/path/to/ComfyUI`, with its Python "
        "after a colon if it is elsewhere; repeatable.",
    ),
    click.option(
        "--workers",
        metavar="N",
        help="Engine processes of each engine (default 1); `auto`: one for each GPU of this machine.",
    ),
    click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings."),
    click.option("--accounts", is_flag=True, default=None, help="Require an account for all access."),
    click.option("--insecure", is_flag=True, default=None, help="Allow access from other machines without accounts."),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least severe messages to log (default info).",
    ),
)


def server_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line, by the names of their settings."""
    return {name: value for name, value in options.items() if value not in (None, ())}
