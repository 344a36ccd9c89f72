"""``safelight worker``: make this machine a node of the Ray cluster on which servers run their workers."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from safelight.cli.console import err
from safelight.core.errors import SafelightError
from safelight.dispatch.backends.ray_cluster import POOL_LABEL, SLOT_RESOURCE, YES
from safelight.settings import find_devices, process_environment

PORT = 6379
_STORE_BYTES = 128 * 1024 * 1024
"""Size of Ray's object store. Its default is a third of the memory, and Safelight sends no files through it."""


class CannotJoin(SafelightError):
    """This machine cannot be a node; the message says what is missing."""


@click.command()
@click.option("--head", is_flag=True, help="Start a cluster on this machine, for others to join.")
@click.option("--address", help="Join the cluster with this head (host:port).")
@click.option("--port", type=int, default=PORT, show_default=True, help="Port of the head, with --head.")
@click.option("--node-ip", help="This machine's address, as other nodes see it.")
@click.option(
    "--slots",
    type=click.IntRange(min=0),
    help="Number of workers on this machine (default: one for each GPU, or one without a GPU; 0: none).",
)
@click.option("--pool", "pools", multiple=True, help="Serve only this pool; repeatable.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A secret shared by all nodes; without one, anybody who can reach the cluster's ports can run code.",
)
def worker(
    head: bool,
    address: str | None,
    port: int,
    node_ip: str | None,
    slots: int | None,
    pools: tuple[str, ...],
    token_file: Path | None,
) -> None:
    """Let servers with `backend = "ray"` run workers on this machine, until Ctrl-C."""
    if head == bool(address):
        raise click.UsageError("give either --head to start a cluster, or --address to join one")
    check(slots)
    environment = node_environment(process_environment(), token_file=token_file)
    if "RAY_AUTH_MODE" not in environment:
        err.print("[bold red]No token:[/] anybody who can reach the cluster's ports can run code on its machines.")
    role = ["--head", f"--port={port}", "--include-dashboard=false"] if head else [f"--address={address}"]
    command = node_command(role, node_ip=node_ip, slots=slots, gpus=len(find_devices()), pools=pools)
    os.execve(command[0], [*command], environment)


def check(slots: int | None) -> None:
    """Raises :class:`CannotJoin` if a package is missing."""
    if importlib.util.find_spec("ray") is None:
        raise CannotJoin("Ray is not installed; run pip install 'safelight[ray]'")
    if slots != 0 and importlib.util.find_spec("torch") is None:
        raise CannotJoin("PyTorch is not installed, and workers need it; run pip install 'safelight[worker]'")


def node_command(
    role: Sequence[str], *, node_ip: str | None, slots: int | None, gpus: int, pools: Sequence[str]
) -> Sequence[str]:
    """The command line of ``ray start`` in the foreground, with this Python.

    ``role``: the options of a head or of a node that joins. ``gpus``: how many this machine has.
    """
    count = max(gpus, 1) if slots is None else slots
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *role, "--disable-usage-stats"]
    command.append(f"--object-store-memory={_STORE_BYTES}")
    if node_ip:
        command.append(f"--node-ip-address={node_ip}")
    if not count:
        command += ["--num-cpus=0", "--num-gpus=0"]  # no resource that a worker asks for
    elif gpus:
        command.append(f"--num-gpus={count}")
    else:
        command.append(f"--resources={json.dumps({SLOT_RESOURCE: count})}")
    if pools:
        command.append("--labels=" + ",".join(f"{POOL_LABEL}{pool}={YES}" for pool in pools))
    return command


def node_environment(environment: Mapping[str, str], *, token_file: Path | None) -> Mapping[str, str]:
    """The environment of ``ray start``.

    With a token, Ray requires it from every node. At Ctrl-C the node does not drain: its jobs are retried elsewhere.
    """
    own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    own["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] = "0"
    if token_file is not None:
        own["RAY_AUTH_TOKEN_PATH"] = str(token_file.resolve())
    if token_file is not None or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(environment):
        own["RAY_AUTH_MODE"] = "token"
    return {**environment, **own}
