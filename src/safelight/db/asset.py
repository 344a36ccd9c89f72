"""Rows of assets: a user's named references to blobs."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, exists, func, insert, select, tuple_, update

from safelight.core.asset import Asset, FileName, Folder
from safelight.core.digest import Digest
from safelight.core.ids import AssetId, JobId, UserId
from safelight.core.job import Fence
from safelight.db import asset_index as index
from safelight.db import name_search
from safelight.db.batches import batches
from safelight.db.tables import IS_RUNNING, IS_UNPUBLISHED, job
from safelight.db.tables import asset as table

COLUMNS: tuple[ColumnElement[Any], ...] = (
    table.c.seq,
    table.c.id,
    table.c.owner_id,
    table.c.name,
    table.c.digest,
    table.c.size,
    table.c.mime_type,
    table.c.created_at,
    table.c.updated_at,
    table.c.folder,
    table.c.subfolder,
    table.c.filename,
    table.c.job_id,
    table.c.user_metadata,
    table.c.last_access_at,
    table.c.preview_id,
    table.c.loader_path,
    table.c.source_metadata,
    table.c.expires_at,
)
_OWNED = table.c.owner_id == bindparam("owner")
_IN_FOLDER = (_OWNED, table.c.folder == bindparam("in_folder"), table.c.subfolder == bindparam("in_subfolder"))
_NAMED = select(*COLUMNS).where(*_IN_FOLDER, table.c.filename == bindparam("called"))
_ANY_NAMED = select(*COLUMNS).where(
    _OWNED,
    table.c.folder == bindparam("in_folder"),
    tuple_(table.c.subfolder, table.c.filename).in_(bindparam("called", expanding=True)),
)
_NAMES = select(table.c.filename, table.c.digest).where(
    *_IN_FOLDER, table.c.filename >= bindparam("low"), table.c.filename < bindparam("high")
)
_LAST_NUMBER = select(func.max(table.c.number)).where(*_IN_FOLDER, table.c.series == bindparam("of_series"))
_OF_ATTEMPT = (
    table.c.owner_id == bindparam("owner"),
    table.c.job_id == bindparam("of_job"),
    table.c.attempt == bindparam("of_attempt"),
    table.c.published.is_(False),
)
_MADE = select(table.c.seq, table.c.name, table.c.folder).where(*_OF_ATTEMPT)
_PUBLISH = update(table).where(*_OF_ATTEMPT).values(published=True)
_DROP = delete(table).where(*_OF_ATTEMPT)
_DROP_UNPUBLISHED = delete(table).where(
    IS_UNPUBLISHED,
    ~exists().where(job.c.id == table.c.job_id, job.c.attempt == table.c.attempt, IS_RUNNING),
)
_INSERT = insert(table)
_BY_ID = select(*COLUMNS).where(_OWNED, table.c.id == bindparam("of_id"), table.c.published.is_(True))
_BY_ID_OR_RUNNING = select(*COLUMNS).where(_OWNED, table.c.id == bindparam("of_id"))
_OF_IDS = select(*COLUMNS).where(_OWNED, table.c.id.in_(bindparam("of_ids", expanding=True)))
_SAME = (
    select(*COLUMNS)
    .where(
        _OWNED,
        table.c.digest == bindparam("of_digest"),
        table.c.name == bindparam("called"),
        table.c.published.is_(True),
    )
    .order_by(table.c.seq.desc())
    .limit(1)
)
_EXPIRED = (
    select(*COLUMNS).where(table.c.expires_at <= bindparam("now")).order_by(table.c.expires_at).limit(bindparam("most"))
)
_BY_DIGEST = (
    select(*COLUMNS)
    .where(_OWNED, table.c.digest == bindparam("of_digest"), table.c.published.is_(True))
    .order_by(table.c.seq.desc())
    .limit(1)
)
_NEWEST_OF_DIGESTS = (
    select(func.max(table.c.seq))
    .where(_OWNED, table.c.digest.in_(bindparam("of_digests", expanding=True)), table.c.published.is_(True))
    .group_by(table.c.digest)
    .correlate(None)
)
_ANY_OF_DIGESTS = select(*COLUMNS).where(table.c.seq.in_(_NEWEST_OF_DIGESTS))
_SERIES = re.compile(r"(.*)_(?:(\d{1,9})_[^_]*|(\d{5})[.-][^_]*)", re.DOTALL)
"""``a_00001_.png``, and the forms that node packs use: ``a_00001.png``, ``a_00001-audio.mp4``."""


def add(conn: Connection, new: Asset, *, fence: Fence | None = None) -> None:
    """Insert an asset. With a fence it is an output: its owner can view it, and it is listed once the job finishes."""
    series, number = _series_of(new.file)
    result = conn.execute(
        _INSERT,
        {
            "id": new.id,
            "owner_id": new.owner_id,
            "name": new.name,
            "digest": new.digest,
            "size": new.size,
            "mime_type": new.mime_type,
            "created_at": new.created_at,
            "updated_at": new.updated_at,
            "published": fence is None,
            "folder": new.file.folder.value if new.file else None,
            "subfolder": new.file.subfolder if new.file else None,
            "filename": new.file.filename if new.file else None,
            "series": series,
            "number": number,
            "job_id": new.job_id,
            "attempt": fence.attempt if fence else None,
            "user_metadata": new.user_metadata or None,
            "search_name": name_search.fold(new.name),
            "last_access_at": new.last_access_at or new.created_at,
            "preview_id": new.preview_id,
            "loader_path": new.loader_path,
            "source_metadata": new.source_metadata or None,
            "expires_at": new.expires_at,
        },
    )
    assert result.inserted_primary_key is not None
    if fence is None:
        seq = result.inserted_primary_key[0]
        index.add(conn, new.owner_id, entries=[index.Entry(seq, new.name, new.tags, new.user_metadata)])


def find(conn: Connection, owner_id: UserId, *, asset_id: AssetId) -> tuple[int, Asset] | None:
    """A listed asset with its ``seq``."""
    row = conn.execute(_BY_ID, {"owner": owner_id, "of_id": asset_id}).one_or_none()
    return (row.seq, assets(conn, [row])[0]) if row else None


def find_viewable(conn: Connection, owner_id: UserId, *, asset_id: AssetId) -> Asset | None:
    """A listed asset, or an output of a job that still runs."""
    row = conn.execute(_BY_ID_OR_RUNNING, {"owner": owner_id, "of_id": asset_id}).one_or_none()
    return assets(conn, [row])[0] if row else None


def find_all(conn: Connection, owner_id: UserId, *, asset_ids: Collection[AssetId]) -> dict[AssetId, Asset]:
    """Those of ``asset_ids`` that the owner has, outputs of running jobs included. Tags are not read."""
    found: dict[AssetId, Asset] = {}
    for some in batches(asset_ids):
        for row in conn.execute(_OF_IDS, {"owner": owner_id, "of_ids": some}):
            found[AssetId(row.id)] = _asset(row, ())
    return found


def find_same(conn: Connection, owner_id: UserId, *, name: str, digest: Digest) -> Asset | None:
    """The newest listed asset with this name and these bytes."""
    row = conn.execute(_SAME, {"owner": owner_id, "of_digest": digest, "called": name}).one_or_none()
    return assets(conn, [row])[0] if row else None


def expired(conn: Connection, *, now: datetime, limit: int) -> list[tuple[int, Asset]]:
    """Assets of all owners whose time is over, each with its ``seq``."""
    rows = conn.execute(_EXPIRED, {"now": now, "most": limit}).all()
    return list(zip([row.seq for row in rows], assets(conn, rows), strict=True))


def find_of_digest(conn: Connection, owner_id: UserId, *, digest: Digest) -> tuple[int, Asset] | None:
    """The newest listed asset with those bytes."""
    row = conn.execute(_BY_DIGEST, {"owner": owner_id, "of_digest": digest}).one_or_none()
    return (row.seq, assets(conn, [row])[0]) if row else None


def change(conn: Connection, owner_id: UserId, *, seq: int, before: Asset, after: Asset) -> None:
    """Write the name, type, preview, metadata and modification time of ``after``."""
    values = {
        "name": after.name,
        "search_name": name_search.fold(after.name),
        "mime_type": after.mime_type,
        "preview_id": after.preview_id,
        "user_metadata": after.user_metadata or None,
        "updated_at": after.updated_at,
    }
    conn.execute(update(table).where(table.c.owner_id == owner_id, table.c.seq == seq).values(values))
    if after.name != before.name:
        index.rename(conn, owner_id, seq=seq, name=after.name)
    if after.user_metadata != before.user_metadata:
        index.change_fields(conn, owner_id, seq=seq, user_metadata=after.user_metadata)


def touch(conn: Connection, owner_id: UserId, *, asset_id: AssetId, now: datetime) -> None:
    where = (table.c.owner_id == owner_id, table.c.id == asset_id)
    conn.execute(update(table).where(*where).values(last_access_at=now))


def remove(conn: Connection, owner_id: UserId, *, seq: int, asset: Asset) -> None:
    index.remove(conn, owner_id, seq=seq, tags=asset.tags)
    conn.execute(delete(table).where(table.c.owner_id == owner_id, table.c.seq == seq))


def find_named(conn: Connection, owner_id: UserId, *, file: FileName) -> Asset | None:
    row = conn.execute(_NAMED, _place(owner_id, file) | {"called": file.filename}).one_or_none()
    return assets(conn, [row])[0] if row else None


def find_all_named(conn: Connection, owner_id: UserId, *, files: Collection[FileName]) -> dict[FileName, Asset]:
    """Those of ``files`` that exist, with one statement per 500 files of a folder. Tags are not read."""
    by_folder: dict[Folder, list[tuple[str, str]]] = {}
    for file in files:
        by_folder.setdefault(file.folder, []).append((file.subfolder, file.filename))
    found: dict[FileName, Asset] = {}
    for folder, names in by_folder.items():
        for some in batches(names):
            for row in conn.execute(_ANY_NAMED, {"owner": owner_id, "in_folder": folder.value, "called": some}):
                one = _asset(row, ())
                assert one.file is not None
                found[one.file] = one
    return found


def find_all_of_digests(conn: Connection, owner_id: UserId, *, digests: Collection[Digest]) -> dict[Digest, Asset]:
    """The newest listed asset of each digest that has one, with one statement per 500. Tags are not read."""
    found: dict[Digest, Asset] = {}
    for some in batches(digests):
        for row in conn.execute(_ANY_OF_DIGESTS, {"owner": owner_id, "of_digests": some}):
            found[row.digest] = _asset(row, ())
    return found


def names_between(conn: Connection, owner_id: UserId, *, like: FileName, high: str) -> dict[str, Digest]:
    """The file names in the folder of ``like`` from its own up to ``high`` (exclusive), with their digests."""
    rows = conn.execute(_NAMES, _place(owner_id, like) | {"low": like.filename, "high": high})
    return {row.filename: row.digest for row in rows}


def last_number(conn: Connection, owner_id: UserId, *, folder: Folder, subfolder: str, series: str) -> int:
    """The highest number of ``<series>_00001_.png`` in the folder; 0 if there is no such file."""
    place = {"owner": owner_id, "in_folder": folder.value, "in_subfolder": subfolder, "of_series": series}
    return conn.execute(_LAST_NUMBER, place).scalar_one() or 0


def in_folder(conn: Connection, owner_id: UserId, *, folder: Folder, limit: int | None) -> list[Asset]:
    """The published files of a folder and its subfolders, newest first. Tags are not read."""
    where = (table.c.owner_id == owner_id, table.c.folder == folder.value, table.c.published)
    query = select(*COLUMNS).where(*where).order_by(table.c.seq.desc()).limit(limit)
    return [_asset(row, ()) for row in conn.execute(query)]


def change_content(conn: Connection, owner_id: UserId, *, asset: Asset) -> None:
    """Write the digest, size, type and modification time of ``asset``."""
    where = (table.c.owner_id == owner_id, table.c.id == asset.id)
    values = {"digest": asset.digest, "size": asset.size, "mime_type": asset.mime_type, "updated_at": asset.updated_at}
    conn.execute(update(table).where(*where).values(values))


def remove_file_name(conn: Connection, owner_id: UserId, *, file: FileName) -> None:
    """Remove the file name of the asset that has it, if any. The asset itself stays."""
    named = (table.c.folder == file.folder.value, table.c.subfolder == file.subfolder)
    nothing = dict.fromkeys(("folder", "subfolder", "filename", "series", "number"))
    where = (table.c.owner_id == owner_id, *named, table.c.filename == file.filename)
    conn.execute(update(table).where(*where).values(nothing))


def publish(conn: Connection, owner_id: UserId, *, fence: Fence) -> None:
    """List the outputs of an attempt, each under the tag of its folder."""
    of_attempt = {"owner": owner_id, "of_job": fence.job_id, "of_attempt": fence.attempt}
    made = conn.execute(_MADE, of_attempt).all()
    tags = {row.seq: (row.folder,) if row.folder else () for row in made}
    conn.execute(_PUBLISH, of_attempt)
    index.add(conn, owner_id, entries=[index.Entry(row.seq, row.name, tags[row.seq], {}) for row in made])


def drop(conn: Connection, owner_id: UserId, *, fence: Fence) -> None:
    """Delete the outputs of a lost attempt."""
    conn.execute(_DROP, {"owner": owner_id, "of_job": fence.job_id, "of_attempt": fence.attempt})


def drop_unpublished(conn: Connection) -> int:
    """Delete the unpublished outputs, of all users, whose attempt is not running. Returns how many."""
    return conn.execute(_DROP_UNPUBLISHED).rowcount


def _place(owner_id: UserId, file: FileName) -> dict[str, Any]:
    return {"owner": owner_id, "in_folder": file.folder.value, "in_subfolder": file.subfolder}


def _series_of(file: FileName | None) -> tuple[str | None, int | None]:
    match = _SERIES.fullmatch(file.filename) if file else None
    return (match[1], int(match[2] or match[3])) if match else (None, None)


def assets(conn: Connection, rows: Sequence[Row[Any]]) -> list[Asset]:
    """Assets from rows of :data:`COLUMNS`, with their tags."""
    tags = index.tags_of(conn, seqs=[row.seq for row in rows])
    return [_asset(row, tuple(tags.get(row.seq, ()))) for row in rows]


def _asset(row: Row[Any], tags: tuple[str, ...]) -> Asset:
    metadata: Mapping[str, Any] = row.user_metadata or {}
    return Asset(
        id=AssetId(row.id),
        owner_id=UserId(row.owner_id),
        name=row.name,
        digest=row.digest,
        size=row.size,
        mime_type=row.mime_type,
        created_at=row.created_at,
        updated_at=row.updated_at,
        file=None if row.folder is None else FileName(Folder(row.folder), row.subfolder, row.filename),
        job_id=None if row.job_id is None else JobId(row.job_id),
        tags=tags,
        user_metadata=metadata,
        source_metadata=row.source_metadata or {},
        last_access_at=row.last_access_at,
        preview_id=None if row.preview_id is None else AssetId(row.preview_id),
        loader_path=row.loader_path,
        expires_at=row.expires_at,
    )
