"""``safelight import``: take over what was made with a ComfyUI."""

import asyncio
from pathlib import Path

import click

from safelight import settings as sources
from safelight.cli.console import out
from safelight.cli.database import database_options
from safelight.cli.maintenance import open_installation, size_text
from safelight.comfyui import saved_work as places
from safelight.comfyui.installation import EXTRA_MODEL_PATHS, NotAnInstallation
from safelight.core.asset import Folder
from safelight.core.clock import SystemClock
from safelight.core.model_folders import ExtraPlace
from safelight.core.user import LOCAL_PRINCIPAL, Principal
from safelight.db.transaction import Transaction
from safelight.services import account_revision, saved_work
from safelight.services import user as users
from safelight.services.model import ModelFiles
from safelight.services.saved_work import TakenOver
from safelight.settings import Settings
from safelight.settings.models import read_places


@click.group(name="import")
def import_work() -> None:
    """Take over files and workflows from another program."""


@import_work.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--user", "user_name", help="The account that gets everything (default: the user of a server without accounts)."
)
@click.option("--output-dir", type=click.Path(path_type=Path), help="Its folder of outputs, if it is not ROOT/output.")
@click.option("--input-dir", type=click.Path(path_type=Path), help="Its folder of inputs, if it is not ROOT/input.")
@click.option("--comfyui-user", default="default", show_default=True, help="Whose workflows: one of ComfyUI's users.")
@database_options
def comfyui(
    root: Path,
    user_name: str | None,
    output_dir: Path | None,
    input_dir: Path | None,
    comfyui_user: str,
    config: Path | None,
    data_dir: Path | None,
) -> None:
    """Copy the outputs, inputs and saved workflows of the ComfyUI in ROOT into an account.

    Nothing is moved or changed there. A second run adds what is new. A server may be running. Models stay where they
    are; the last lines say how to use them.
    """
    if not (root / "main.py").is_file():
        raise NotAnInstallation(f"no main.py in {str(root)!r}")
    settings = sources.load(overrides={"data_dir": data_dir}, config=config)
    folders = {Folder.OUTPUT: output_dir or places.outputs(root), Folder.INPUT: input_dir or places.inputs(root)}
    workflows = places.workflows(root, user=comfyui_user)
    asyncio.run(_import(settings, user_name, folders=folders, workflows=workflows))
    _print_models(root)


async def _import(settings: Settings, user_name: str | None, *, folders: dict[Folder, Path], workflows: Path) -> None:
    clock = SystemClock()

    def find_user(tx: Transaction) -> Principal:
        if user_name is None:
            return LOCAL_PRINCIPAL
        return Principal(users.get_named(tx, name=user_name).user_id)

    async with open_installation(settings) as installation:
        db, blobs = installation.db, installation.blobs
        await db.write(lambda tx: users.ensure_local(tx, now=clock.now()))
        who = await db.read(find_user)
        for folder, path in folders.items():
            taken = await saved_work.take_files(db, blobs, who, folder=folder, files=places.files_below(path))
            _print_taken(f"{folder.value}s", path, taken)
        saved = places.files_below(workflows, suffix=".json")
        _print_taken("workflows", workflows, await saved_work.take_workflows(db, who, files=saved, now=clock.now()))
        await db.write(account_revision.increment)  # a running server drops what it has cached of users


def _print_taken(what: str, path: Path, taken: TakenOver) -> None:
    if not path.is_dir():
        out.print(f"{what}: {path} does not exist")
        return
    out.print(f"{what}: {taken.added} added, {taken.known} already there")
    for name, reason in taken.left_out.items():
        out.print(f"  left out {name}: {reason}", soft_wrap=True)


def _print_models(root: Path) -> None:
    """Say what models there are, and which setting lets engines use them where they are."""
    extra = root / EXTRA_MODEL_PATHS
    elsewhere: tuple[ExtraPlace, ...] = read_places(extra) if extra.is_file() else ()
    roots = [root.resolve() / "models"]
    models = ModelFiles(roots, elsewhere)
    models.refresh()
    files = [file for folder in models.folders() for file in models.files(folder)]
    if not files:
        out.print(f"models: none in {roots[0]}")
        return
    out.print(
        f"models: {len(files)} files, {size_text(sum(file.size() for file in files))}, used where they are by either"
    )
    out.print(f"  safelight serve --engine comfyui={root.resolve()}", soft_wrap=True)
    more = f" and extra_model_paths = {str(extra.resolve())!r} in the settings" if elsewhere else ""
    out.print(f"  safelight serve --models-dir {roots[0]}{more}", soft_wrap=True)
    missing = {str(place.path) for place in elsewhere if not place.path.is_dir()}
    for path in sorted(missing):
        out.print(f"  {path}, which {extra.name} names, does not exist", soft_wrap=True)
