"""Backups that the server makes by itself: a folder for each, of which the newest are kept.

Files that did not change since the backup before are hard links to it, so that a further backup takes the space of what
is new. Each folder is complete: ``safelight restore`` reads any of them.
"""

import asyncio
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from safelight.blobs.store import BlobStore
from safelight.core.errors import Invalid
from safelight.services.backup import MANIFEST, Manifest, back_up, read_manifest

_NAME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """``folder``: in which the backups are. ``kept``: how many complete ones stay."""

    folder: Path
    every_s: float
    kept: int


@dataclass(frozen=True, slots=True)
class MadeBackup:
    folder: Path
    manifest: Manifest


def backups(plan: BackupPlan) -> list[MadeBackup]:
    """The complete backups, oldest first. Blocks."""
    made = []
    for folder in _folders(plan):
        if (folder / MANIFEST).exists():
            try:
                made.append(MadeBackup(folder, read_manifest(folder)))
            except Invalid:
                continue  # of a newer Safelight: it is neither used nor removed
    return sorted(made, key=lambda backup: backup.manifest.made_at)


def is_due(plan: BackupPlan, *, now: datetime) -> bool:
    """Blocks."""
    made = backups(plan)
    return not made or now - made[-1].manifest.made_at >= timedelta(seconds=plan.every_s)


async def make(plan: BackupPlan, database: str, blobs: BlobStore, *, now: datetime) -> MadeBackup:
    """Make a backup, then remove those that are too many, and what interrupted ones have left. The caller holds the
    maintenance lock."""
    before = await asyncio.to_thread(backups, plan)
    folder = plan.folder / now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    await asyncio.to_thread(_remove_unfinished, plan)
    manifest = await back_up(database, blobs, folder=folder, now=now, like=before[-1].folder if before else None)
    for old in (await asyncio.to_thread(backups, plan))[: -plan.kept]:
        await asyncio.to_thread(shutil.rmtree, old.folder)
    return MadeBackup(folder, manifest)


def _folders(plan: BackupPlan) -> list[Path]:
    if not plan.folder.is_dir():
        return []
    return [path for path in plan.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]


def _remove_unfinished(plan: BackupPlan) -> None:
    for folder in _folders(plan):
        if not (folder / MANIFEST).exists():
            shutil.rmtree(folder)
