"""Rows of files that a scan of the model folders has registered, each with its public asset."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from safelight.core.asset import MISSING, PUBLIC_OWNER, Asset
from safelight.core.digest import Digest, Sha256Digest
from safelight.core.ids import AssetId
from safelight.db import asset as assets
from safelight.db import asset_index, upsert
from safelight.db import blob as blobs
from safelight.db.tables import scanned_file


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """``size`` and ``mtime_ns`` show whether the file has changed since it was hashed."""

    path: str
    size: int
    mtime_ns: int
    asset_id: AssetId


def all_files(conn: Connection) -> dict[str, ScannedFile]:
    rows = conn.execute(select(scanned_file))
    return {row.path: ScannedFile(row.path, row.size, row.mtime_ns, AssetId(row.asset_id)) for row in rows}


def register(
    conn: Connection, *, file: ScannedFile, asset: Asset, sha256: Sha256Digest, replaces: AssetId | None
) -> None:
    """Register a file and its asset. ``replaces``: the asset of the same path with its earlier bytes."""
    if replaces is not None and (there := assets.find(conn, PUBLIC_OWNER, asset_id=replaces)):
        assets.remove(conn, PUBLIC_OWNER, seq=there[0], asset=there[1])
    blobs.ensure(conn, digest=Digest(asset.digest), size=asset.size, now=asset.created_at, sha256=sha256)
    assets.add(conn, asset)
    values = {"size": file.size, "mtime_ns": file.mtime_ns, "asset_id": file.asset_id}
    insert = upsert.insert(conn, scanned_file).on_conflict_do_update(index_elements=["path"], set_=values)
    conn.execute(insert, {"path": file.path} | values)


def mark(conn: Connection, *, asset_ids: Sequence[AssetId], is_missing: bool) -> int:
    """Add or remove the tag of missing files. Returns how many assets changed."""
    changed = 0
    for asset_id in asset_ids:
        there = assets.find(conn, PUBLIC_OWNER, asset_id=asset_id)
        if there is None or (MISSING in there[1].tags) == is_missing:
            continue
        add, remove = ([MISSING], ()) if is_missing else ((), [MISSING])
        asset_index.change_tags(conn, PUBLIC_OWNER, seq=there[0], add=add, remove=remove)
        changed += 1
    return changed
