"""``safelight doctor``: check this machine and this installation for anything that would keep a job from running."""

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import click

from safelight import __version__, settings
from safelight.blobs.stores import open_store
from safelight.cli.console import out
from safelight.cli.options import given, server_options
from safelight.cli.pack_import import NotChecked, import_packs
from safelight.comfyui import inspection, installation
from safelight.core.errors import SafelightError, Unavailable
from safelight.db.sqlite_driver import driver, is_sound
from safelight.dispatch.backends.process import scrub
from safelight.sandbox.rules import Rules
from safelight.settings import Settings


class Verdict(Enum):
    GOOD = "[green]ok[/]"
    NOTE = "[yellow]note[/]"
    BAD = "[red]bad[/]"


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    subject: str
    text: str


@click.command()
@server_options
def doctor(config: Path | None, **options: Any) -> None:
    """Check Python, the packages, the data folder, the port and the workers. Exits with 1 if something is bad."""
    chosen = settings.load(overrides=given(options), config=config)
    bad = False
    for check in (
        _python,
        _packages,
        _sqlite,
        _data_dir,
        _blob_store,
        _models,
        _port,
        _torch,
        _packs,
        _engines,
        _confinement,
    ):
        for finding in check(chosen):
            bad = bad or finding.verdict is Verdict.BAD
            out.print(f"{finding.verdict.value:<16} [bold]{finding.subject}[/]: {finding.text}", soft_wrap=True)
    if bad:
        raise SystemExit(1)


Check = Callable[[Settings], Iterator[Finding]]


def _python(_: Settings) -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    text = f"{version}, Safelight {__version__} on {platform.platform()}"
    yield Finding(
        Verdict.GOOD if good else Verdict.BAD, "Python", text if good else f"{version}; 3.11 or newer is required"
    )


def _packages(_: Settings) -> Iterator[Finding]:
    for package, consequence in (
        ("comfyui-frontend-package", "no web UI, only the API (install safelight[web])"),
        ("comfyui-workflow-templates", "no templates in the web UI (install safelight[web])"),
        ("comfyui-embedded-docs", "no node help in the web UI (install safelight[web])"),
        ("comfyui-subgraph-blueprints", "no blueprints in the web UI (install safelight[web])"),
    ):
        try:
            yield Finding(Verdict.GOOD, package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(Verdict.NOTE, package, f"not installed: {consequence}")


def _sqlite(_: Settings) -> Iterator[Finding]:
    try:
        used = driver()
    except Unavailable as error:
        yield Finding(Verdict.BAD, "SQLite", str(error))
        return
    version, system = used.sqlite_version, sqlite3.sqlite_version
    if used is not sqlite3:
        yield Finding(Verdict.GOOD, "SQLite", f"{version} (bundled; the system's {system} is not used)")
    elif is_sound(used.sqlite_version_info):
        yield Finding(Verdict.GOOD, "SQLite", f"{version} (the system's)")
    else:
        yield Finding(
            Verdict.NOTE,
            "SQLite",
            f"{version}, the system's, has a bug that can corrupt a database; pip install pysqlite3, or use PostgreSQL",
        )


def _data_dir(chosen: Settings) -> Iterator[Finding]:
    folder = chosen.server.data_dir.resolve()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        yield Finding(Verdict.BAD, "Data folder", f"cannot write to {folder}: {error.strerror}")
        return
    free = shutil.disk_usage(existing).free
    verdict = Verdict.GOOD if free > 2 * 2**30 else Verdict.NOTE
    yield Finding(verdict, "Data folder", f"{folder}, {free / 2**30:.1f} GiB free")


def _blob_store(chosen: Settings) -> Iterator[Finding]:
    if not chosen.storage.blob_store:
        return
    try:
        checkable = open_store(chosen.blobs).checkable
        assert checkable is not None
        asyncio.run(checkable.check())
    except Unavailable as error:
        yield Finding(Verdict.BAD, "Object store", f"{chosen.storage.blob_store}: {error}")
    else:
        yield Finding(Verdict.GOOD, "Object store", f"{chosen.storage.blob_store} is reachable")


def _models(chosen: Settings) -> Iterator[Finding]:
    for root in chosen.model_roots:
        if root.is_dir():
            yield Finding(Verdict.GOOD, "Models", str(root.resolve()))
        else:
            yield Finding(Verdict.NOTE, "Models", f"{root.resolve()} does not exist: loaders will list no files")
    for extra in chosen.extra_models:
        if not extra.path.is_dir():
            yield Finding(Verdict.NOTE, "Models", f"{extra.path} ({extra.folder} of extra_model_paths) does not exist")
    for folder in chosen.packs.custom_nodes:
        if not folder.is_dir():
            yield Finding(Verdict.BAD, "Node packs", f"{folder} is not a folder")


def _port(chosen: Settings) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.server.host, chosen.server.port))
        except OSError as error:
            yield Finding(
                Verdict.NOTE, "Port", f"{chosen.server.host}:{chosen.server.port} is not available: {error.strerror}"
            )
        else:
            yield Finding(Verdict.GOOD, "Port", f"{chosen.server.host}:{chosen.server.port} is free")


def _torch(chosen: Settings) -> Iterator[Finding]:
    """Import torch in a separate process: this one never does."""
    if all(not spec.is_own for spec in chosen.engine_specs):
        return
    if importlib.util.find_spec("torch") is None:
        yield Finding(Verdict.BAD, "PyTorch", "not installed: no worker can start (install safelight[worker])")
        return
    code = (
        "import torch; names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())];"
        "print(torch.__version__, ', '.join(names) or 'no GPU, jobs run on the CPU')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "it cannot be imported"
        yield Finding(Verdict.BAD, "PyTorch", reason)
    else:
        yield Finding(Verdict.GOOD, "PyTorch", ran.stdout.strip())


def _packs(chosen: Settings) -> Iterator[Finding]:
    """Load the packs as a worker does, in a separate process."""
    folders = [folder for folder in chosen.packs.custom_nodes if folder.is_dir()]
    if not folders or importlib.util.find_spec("torch") is None:
        return
    try:
        packs = import_packs(folders, libraries=chosen.packs.libraries)
    except NotChecked as error:
        yield Finding(Verdict.BAD, "Node packs", error.message)
        return
    for pack in packs:
        if not pack.failures:
            yield Finding(Verdict.GOOD, f"Node pack {pack.name}", f"{pack.nodes} nodes")
        for subject, reason in pack.failures.items():
            yield Finding(Verdict.NOTE, f"Node pack {subject}", f"failed to load: {reason}")


def _engines(chosen: Settings) -> Iterator[Finding]:
    """Report each ComfyUI: its version, its packs, its PyTorch and devices, and what is missing."""
    for spec in chosen.engine_specs:
        if spec.is_own:
            continue
        subject = f"Engine {spec.kind}"
        try:
            found = installation.find(spec.root, spec.python)
            inspected = inspection.inspect(found, environment=_environment())
        except SafelightError as error:
            yield Finding(Verdict.BAD, subject, error.message)
            continue
        packs = f", node packs: {', '.join(found.packs)}" if found.packs else ", no node packs"
        yield Finding(
            Verdict.GOOD, subject, f"ComfyUI {found.version or 'of an unknown version'} in {found.root}{packs}"
        )
        if inspected.failure or not inspected.torch:
            reason = inspected.failure or "it is not installed"
            yield Finding(Verdict.BAD, subject, f"{found.python} has no usable PyTorch: {reason}")
        else:
            devices = ", ".join(inspected.devices) or "no GPU, jobs run on the CPU"
            yield Finding(Verdict.GOOD, subject, f"PyTorch {inspected.torch}, Python {inspected.python}: {devices}")
        for pack, missing in inspected.missing.items():
            whose = f"its node pack {pack}" if pack else "it"
            text = f"{whose} needs {', '.join(missing)}, which {found.python} does not have"
            yield Finding(Verdict.NOTE, subject, text)


def _confinement(chosen: Settings) -> Iterator[Finding]:
    """Report which limits on workers this system cannot enforce. A separate process tries them: it cannot undo them."""
    account = settings.worker_account(chosen)
    if account is None and os.geteuid() == 0:
        _, reason = (None, "") if chosen.confinement.worker_user else settings.default_account(chosen)
        text = "run as root; set worker_user to an account with fewer rights"
        yield Finding(Verdict.NOTE, "Workers", f"{text} ({reason})" if reason else text)
    elif account is not None:
        yield Finding(Verdict.GOOD, "Workers", f"run as account {account.uid}")
    rules = Rules(
        account=account, network=chosen.confinement.worker_network, writable=(), readable=(), own_processes=True
    )
    needed = (Path(sys.prefix), Path(__file__), *chosen.model_roots, *chosen.packs.custom_nodes)
    needed = (*needed, *(extra.path for extra in chosen.extra_models))
    paths = [str(path.resolve()) for path in needed if path.exists()]
    command = [sys.executable, "-P", "-m", "safelight.sandbox.probe", json.dumps(asdict(rules)), *paths]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment())
    if ran.returncode:
        yield Finding(Verdict.BAD, "Workers", ran.stderr.strip().splitlines()[-1])
        return
    report = json.loads(ran.stdout)
    for path in report["unreadable"]:
        yield Finding(Verdict.BAD, "Workers", f"{chosen.confinement.worker_user} cannot read {path}")
    for sentence in report["missing"]:
        yield Finding(Verdict.NOTE, "Workers", f"are less confined than they should be; {sentence}")
    if not report["missing"]:
        confined = "files" if chosen.confinement.worker_network else "files, network"
        yield Finding(Verdict.GOOD, "Workers", f"confined: {confined}, processes, signals, privileges")


def _environment() -> dict[str, str]:
    return scrub(settings.process_environment())
