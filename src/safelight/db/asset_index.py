"""The index rows by which lists find an asset: tags and their counts, metadata fields, trigrams of the name. Only
published assets have them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from safelight.core.ids import UserId
from safelight.core.metadata_field import words_of
from safelight.db import name_search, upsert
from safelight.db.tables import asset_count, asset_field, asset_tag

ALL = ""
"""The pseudo-tag under which all assets of an owner are counted."""

_INSERT_TAG = insert(asset_tag)
_INSERT_FIELD = insert(asset_field)
_TAGS = (
    select(asset_tag.c.asset_seq, asset_tag.c.tag)
    .where(asset_tag.c.asset_seq.in_(bindparam("seqs", expanding=True)))
    .order_by(asset_tag.c.tag)
)
_COUNTS = select(asset_count.c.owner_id, asset_count.c.tag, asset_count.c["count"]).where(
    asset_count.c.owner_id.in_(bindparam("owners", expanding=True)),
    asset_count.c.tag.in_(bindparam("tags", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int
    name: str
    tags: Sequence[str]
    user_metadata: Mapping[str, Any]


def add(conn: Connection, owner_id: UserId, *, entries: Sequence[Entry]) -> None:
    name_search.add(conn, owner_id, names=[(e.seq, name_search.fold(e.name)) for e in entries])
    if tags := [_tag(owner_id, e.seq, tag) for e in entries for tag in e.tags]:
        conn.execute(_INSERT_TAG, tags)
    if fields := [_field(owner_id, e.seq, word) for e in entries for word in words_of(e.user_metadata)]:
        conn.execute(_INSERT_FIELD, fields)
    changes = {ALL: len(entries)}
    for entry in entries:
        for tag in entry.tags:
            changes[tag] = changes.get(tag, 0) + 1
    _count(conn, owner_id, changes)


def remove(conn: Connection, owner_id: UserId, *, seq: int, tags: Collection[str]) -> None:
    """Remove what the deletion of the asset's own row does not: its name and counts. Tags and fields cascade."""
    name_search.remove(conn, seqs=[seq])
    _count(conn, owner_id, {ALL: -1} | dict.fromkeys(tags, -1))


def rename(conn: Connection, owner_id: UserId, *, seq: int, name: str) -> None:
    name_search.remove(conn, seqs=[seq])
    name_search.add(conn, owner_id, names=[(seq, name_search.fold(name))])


def change_tags(conn: Connection, owner_id: UserId, *, seq: int, add: Collection[str], remove: Collection[str]) -> None:
    """``add``: tags that the asset does not have; ``remove``: tags that it has."""
    if add:
        conn.execute(_INSERT_TAG, [_tag(owner_id, seq, tag) for tag in add])
    if remove:
        where = (asset_tag.c.owner_id == owner_id, asset_tag.c.tag.in_(remove), asset_tag.c.asset_seq == seq)
        conn.execute(delete(asset_tag).where(*where))
    _count(conn, owner_id, dict.fromkeys(add, 1) | dict.fromkeys(remove, -1))


def change_fields(conn: Connection, owner_id: UserId, *, seq: int, user_metadata: Mapping[str, Any]) -> None:
    conn.execute(delete(asset_field).where(asset_field.c.asset_seq == seq))
    if words := words_of(user_metadata):
        conn.execute(_INSERT_FIELD, [_field(owner_id, seq, word) for word in words])


def tags_of(conn: Connection, *, seqs: Collection[int]) -> dict[int, list[str]]:
    tags: dict[int, list[str]] = {}
    for seq, tag in conn.execute(_TAGS, {"seqs": list(seqs)}):
        tags.setdefault(seq, []).append(tag)
    return tags


def counts(conn: Connection, owners: Collection[UserId], *, tags: Collection[str]) -> dict[UserId, dict[str, int]]:
    """How many assets of each owner have each tag, and under :data:`ALL` how many they have at all."""
    wanted = [*tags, ALL]
    found = {owner: dict.fromkeys(wanted, 0) for owner in owners}
    for owner, tag, count in conn.execute(_COUNTS, {"owners": list(owners), "tags": wanted}):
        found[owner][tag] = count
    return found


def _count(conn: Connection, owner_id: UserId, changes: Mapping[str, int]) -> None:
    """Change the counts in the order of tags, so that concurrent writers cannot deadlock."""
    wanted = sorted(tag for tag, change in changes.items() if change)
    where = (asset_count.c.owner_id == bindparam("owner"), asset_count.c.tag == bindparam("of"))
    add = update(asset_count).where(*where).values(count=asset_count.c["count"] + bindparam("change"))
    for tag in wanted:
        if conn.execute(add, {"owner": owner_id, "of": tag, "change": changes[tag]}).rowcount == 0:
            row = {"owner_id": owner_id, "tag": tag, "count": changes[tag]}
            conn.execute(upsert.insert(conn, asset_count), row)


def _tag(owner_id: UserId, seq: int, tag: str) -> dict[str, object]:
    return {"owner_id": owner_id, "tag": tag, "asset_seq": seq}


def _field(owner_id: UserId, seq: int, word: str) -> dict[str, object]:
    return {"owner_id": owner_id, "field": word, "asset_seq": seq}
