"""``safelight pack``: add, list and check node packs, with the libraries that they need."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, TypeVar

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from safelight import settings as sources
from safelight.cli.console import out, print_columns
from safelight.cli.options import given
from safelight.cli.pack_import import import_packs
from safelight.cli.pack_libraries import NotResolved, fetch_pack, install, resolve, unmatched_builds
from safelight.cli.pack_requirements import (
    Environment,
    clashes,
    declared_by,
    environment,
    missing,
    read_requirements,
)
from safelight.core.errors import SafelightError
from safelight.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class NotAdded(SafelightError):
    """A pack was not added; the message says why. Nothing was changed."""


def pack_options(command: F) -> F:
    for option in (
        click.option("--config", type=click.Path(path_type=Path), help="A TOML file of settings."),
        click.option(
            "--custom-nodes", type=click.Path(path_type=Path), multiple=True, help="A folder of node packs; repeatable."
        ),
    ):
        command = option(command)
    return command


@click.group()
def pack() -> None:
    """Add, list and check node packs, with the libraries that they need."""


@pack.command()
@click.argument("source")
@click.option("--without", multiple=True, metavar="LIBRARY", help="Leave out this requirement; repeatable.")
@click.option("--replace", is_flag=True, help="Replace a pack of the same name.")
@click.option("--dry-run", is_flag=True, help="Only show what would be installed.")
@pack_options
def add(
    source: str, without: tuple[str, ...], replace: bool, dry_run: bool, config: Path | None, **options: Any
) -> None:
    """Add the pack SOURCE, a folder or a name on PyPI, to the first folder of `custom_nodes`.

    The libraries that it needs are installed beside Safelight's own, if versions exist that fit all that is installed.
    Otherwise nothing is changed, and both sides of the clash are shown.
    """
    chosen = sources.load(overrides=given(options), config=config)
    target = _first_folder(chosen)
    libraries = chosen.packs.libraries
    with tempfile.TemporaryDirectory() as folder:
        packs, needed = _packs_of(source, Path(folder))
        left_out = {canonicalize_name(name) for name in without}
        needed = [one for one in needed if canonicalize_name(one.name) not in left_out]
        for one in packs:
            if (target / one.name).exists() and not replace and (target / one.name).resolve() != one.resolve():
                raise NotAdded(f"{target / one.name} exists already; replace it with --replace")
        present = environment(libraries)
        if found := clashes(needed, present):
            raise NotAdded(f"{source}: " + "; ".join(found) + " (leave a requirement out with --without)")
        try:
            chosen_libraries = resolve(missing(needed, present), present, libraries=libraries)
        except NotResolved as error:
            raise NotAdded(f"{source}: {error.message}") from None
        if found := unmatched_builds(chosen_libraries, present):
            raise NotAdded(f"{source}: " + "; ".join(found))
        for library in chosen_libraries:
            out.print(f"library {library.name} {library.version}", markup=False, soft_wrap=True)
        if dry_run:
            return
        install(chosen_libraries, libraries=libraries)
        for one in packs:
            _copy(one, target / one.name)
            out.print(f"Added {one.name} to {target}.", markup=False, soft_wrap=True)
    _print_import([target], libraries, only={one.name for one in packs})


@pack.command("list")
@pack_options
def list_packs(config: Path | None, **options: Any) -> None:
    """List the packs, and the libraries that they lack."""
    chosen = sources.load(overrides=given(options), config=config)
    present = environment(chosen.packs.libraries)
    rows = [(path.name, str(path.parent), _state(path, present)) for path in _all_packs(chosen)]
    if rows:
        print_columns(("pack", "folder", "libraries"), rows)
    else:
        out.print("There are no node packs.")


@pack.command()
@pack_options
def check(config: Path | None, **options: Any) -> None:
    """Check the libraries of all packs, and import the packs as a worker does. Exits with 1 if anything is missing."""
    chosen = sources.load(overrides=given(options), config=config)
    present = environment(chosen.packs.libraries)
    lacking = [(path.name, state) for path in _all_packs(chosen) if (state := _state(path, present)) != COMPLETE]
    if lacking:
        print_columns(("pack", "libraries"), lacking)
    folders = [folder for folder in chosen.packs.custom_nodes if folder.is_dir()]
    failed = _print_import(folders, chosen.packs.libraries)
    if lacking or failed:
        raise SystemExit(1)


COMPLETE = "complete"


def _state(path: Path, present: Environment) -> str:
    try:
        needed = declared_by(path) if path.is_dir() else []
    except SafelightError as error:
        return error.message
    absent = [f"{one.name}{one.specifier} is missing" for one in missing(needed, present)]
    return "; ".join([*absent, *clashes(needed, present)]) or COMPLETE


def _first_folder(chosen: Settings) -> Path:
    if not chosen.packs.custom_nodes:
        raise NotAdded("there is no folder for node packs: name one with --custom-nodes, or set custom_nodes")
    return chosen.packs.custom_nodes[0].resolve()


def _all_packs(chosen: Settings) -> Iterator[Path]:
    for folder in chosen.packs.custom_nodes:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            is_pack = (path / "__init__.py").is_file() if path.is_dir() else path.suffix == ".py"
            if is_pack and not path.name.startswith((".", "_")) and not path.name.endswith(".disabled"):
                yield path.resolve()


def _packs_of(source: str, folder: Path) -> tuple[list[Path], list[Requirement]]:
    """The pack's folders, and what it needs. Raises :class:`NotAdded`."""
    path = Path(source)
    if path.is_dir():
        path = path.resolve()
        if not (path / "__init__.py").is_file():
            raise NotAdded(f"{source} is not a node pack: it has no __init__.py")
        return [path], declared_by(path)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?([=<>~!].*)?", source):
        raise NotAdded(f"{source!r} is neither a folder nor a name on PyPI")
    fetch_pack(source, into=folder)
    packs = [path for path in sorted(folder.iterdir()) if (path / "__init__.py").is_file()]
    if not packs:
        raise NotAdded(f"{source} is not a node pack: it has no package")
    lines = [line for one in distributions(path=[str(folder)]) for line in one.requires or ()]
    return packs, list(read_requirements(lines, source=Path(source)))


def _copy(pack_folder: Path, target: Path) -> None:
    """Copy the pack; ``target`` appears complete or not at all."""
    if pack_folder.resolve() == target.resolve():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".adding-") as folder:
        left_out = shutil.ignore_patterns(".git", "__pycache__", "node_modules", ".venv")
        made = shutil.copytree(pack_folder, Path(folder, "new"), ignore=left_out)
        if target.exists():
            target.rename(Path(folder, "old"))
        Path(made).rename(target)


def _print_import(folders: Sequence[Path], libraries: Path, only: set[str] | None = None) -> bool:
    """Import the packs as a worker does, print what loads, and return whether anything failed."""
    failed = False
    for status in import_packs(folders, libraries=libraries):
        if only is not None and status.name not in only:
            continue
        out.print(f"{status.name}: {status.nodes} nodes", markup=False, soft_wrap=True)
        for subject, reason in status.failures.items():
            failed = True
            out.print(f"{subject} failed to load: {reason}", markup=False, soft_wrap=True)
    return failed
