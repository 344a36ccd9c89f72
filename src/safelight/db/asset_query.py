"""The statements of lists of assets, each made once for its shape: to build one costs more than to run it.

What a shape is made of, and which way is taken when: ``db/asset_list.py``. Probes are scalar subqueries, so that no
planner turns them into the drive.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Column, ColumnElement, Select, bindparam, func, literal, select, tuple_

from safelight.core.asset import AssetSort
from safelight.db import asset as rows
from safelight.db import name_search
from safelight.db.tables import IS_PUBLISHED, asset, asset_field, asset_tag

WALKED = 8_000
"""How many assets are looked through for a text of one or two characters."""
KEYS: dict[AssetSort, ColumnElement[Any]] = {
    AssetSort.NAME: asset.c.name,
    AssetSort.CREATED_AT: asset.c.seq,
    AssetSort.UPDATED_AT: asset.c.updated_at,
    AssetSort.SIZE: asset.c.size,
    AssetSort.LAST_ACCESS_TIME: asset.c.last_access_at,
}
_OWNER: BindParameter[Any] = bindparam("owner")
_OWNED = asset.c.owner_id == _OWNER


class Way(Enum):
    FEW = "few"
    ALONG = "along"
    WALK = "walk"


class Kind(Enum):
    TAG = "tag"
    FIELD = "field"
    NAME = "name"  # by the table of trigrams
    NAME_LIKE = "name like"  # by an index that answers LIKE
    SHORT_NAME = "short name"  # has no trigram, and cannot drive
    DIGEST = "digest"


class Shape(NamedTuple):
    """What SQL depends on. ``is_several``: one of several words; ``is_absent``: none of them, and it cannot drive."""

    kind: Kind
    is_several: bool = False
    is_absent: bool = False

    @property
    def can_drive(self) -> bool:
        return self.kind is not Kind.SHORT_NAME and not self.is_absent


@lru_cache(maxsize=1024)
def heads(way: Way, shapes: tuple[Shape, ...], sort: AssetSort, descending: bool, is_after: bool) -> Select[Any]:
    query = _in_order(way, shapes, sort, rows.COLUMNS, descending=descending, is_after=is_after)
    return query.limit(bindparam("limit")).offset(bindparam("offset"))


@lru_cache(maxsize=256)
def tags_of(way: Way, shapes: tuple[Shape, ...]) -> Select[Any]:
    newest = _in_order(way, shapes, AssetSort.CREATED_AT, (asset.c.seq,), descending=True, is_after=False)
    seqs = newest.limit(bindparam("limit"))
    return select(asset_tag.c.tag, func.count()).where(asset_tag.c.asset_seq.in_(seqs)).group_by(asset_tag.c.tag)


@lru_cache(maxsize=256)
def count_of_all(shapes: tuple[Shape, ...]) -> Select[Any]:
    """Read in no order, from the drive on, for as long as there is something to count."""
    if not shapes or not shapes[0].can_drive:
        walk = _in_order(Way.WALK, shapes, AssetSort.CREATED_AT, (asset.c.seq,), descending=True, is_after=False)
        return _count(walk)
    drive = _drive(shapes[0]).subquery()
    query = select(asset.c.seq).select_from(drive.join(asset, asset.c.seq == drive.c[0])).where(*_is_listed())
    return _count(query.where(*_probes(shapes, asset.c.seq, start=1)))


@lru_cache(maxsize=32)
def count_of_drive(shape: Shape) -> Select[Any]:
    return _count(_drive(shape))


def _count(query: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(query.limit(bindparam("most")).subquery())


def _in_order(
    way: Way,
    shapes: tuple[Shape, ...],
    sort: AssetSort,
    what: Sequence[Any],
    *,
    descending: bool,
    is_after: bool,
) -> Select[Any]:
    key = KEYS[sort]
    order: list[ColumnElement[Any]] = [asset.c.seq] if key is asset.c.seq else [key, asset.c.seq]
    query = select(*what)
    if way is Way.ALONG:
        tag = asset_tag.c.tag == bindparam(bound_name(shapes[0], 0))
        query = query.select_from(asset_tag.join(asset, asset.c.seq == asset_tag.c.asset_seq))
        query = query.where(asset_tag.c.owner_id == _OWNER, tag)
        order = [asset_tag.c.asset_seq]
    elif way is Way.FEW:
        query = query.where(asset.c.seq.in_(_drive(shapes[0])), *_is_listed())
    else:
        query = query.where(_OWNED, IS_PUBLISHED)
        if any(shape.kind is Kind.SHORT_NAME for shape in shapes):
            query = query.where(asset.c.seq.in_(_window(order, descending=descending, is_after=is_after)))
    query = query.where(*_probes(shapes, order[-1], start=0 if way is Way.WALK else 1))
    if is_after:
        query = query.where(_beyond(order, descending=descending))
    return query.order_by(*_directed(order, descending=descending))


def _window(order: list[ColumnElement[Any]], *, descending: bool, is_after: bool) -> Select[Any]:
    """The next assets along the order, all that a short text is looked for in."""
    window = select(asset.c.seq).where(_OWNED, IS_PUBLISHED)
    if is_after:
        window = window.where(_beyond(order, descending=descending))
    return window.order_by(*_directed(order, descending=descending)).limit(WALKED)


def _drive(shape: Shape) -> Select[Any]:
    """``seq`` of all that meet the first condition, each once."""
    value = _bind(shape, 0)
    match shape.kind:
        case Kind.NAME:
            return name_search.matching()
        case Kind.NAME_LIKE:
            listed = (_OWNED, IS_PUBLISHED)
            return select(asset.c.seq).where(*listed, asset.c.search_name.like(value, escape="/"))
        case Kind.DIGEST:
            return select(asset.c.seq).where(_OWNED, asset.c.digest == value)
        case _:
            column = _word(shape)
            query = select(column.table.c.asset_seq).where(column.table.c.owner_id == _OWNER)
            return query.where(column.in_(value)).distinct() if shape.is_several else query.where(column == value)


def _probes(shapes: tuple[Shape, ...], seq: ColumnElement[int], *, start: int) -> list[ColumnElement[bool]]:
    return [_probe(shape, place, seq) for place, shape in enumerate(shapes) if place >= start]


def _probe(shape: Shape, place: int, seq: ColumnElement[int]) -> ColumnElement[bool]:
    value = _bind(shape, place)
    match shape.kind:
        case Kind.NAME | Kind.NAME_LIKE | Kind.SHORT_NAME:
            return asset.c.search_name.like(value, escape="/")
        case Kind.DIGEST:
            return asset.c.digest == value
        case _:
            words = _word(shape).table.alias()
            column = words.c[_word(shape).key]
            word = column.in_(value) if shape.is_several else column == value
            where = (words.c.owner_id == _OWNER, word, words.c.asset_seq == seq)
            found = select(literal(1)).select_from(words).where(*where).limit(1).scalar_subquery()
            return found.is_(None) if shape.is_absent else found.is_not(None)


def _word(shape: Shape) -> Column[str]:
    return asset_tag.c.tag if shape.kind is Kind.TAG else asset_field.c.field


def _bind(shape: Shape, place: int) -> BindParameter[Any]:
    return bindparam(bound_name(shape, place), expanding=shape.is_several)


def bound_name(shape: Shape, place: int) -> str:
    return f"{shape.kind.name.lower()}_{place}"


def _is_listed() -> tuple[ColumnElement[bool], ...]:
    """Of a row that is found by its ``seq``, and in a form that no index serves: a planner that knows no numbers would
    rather read all that the owner has."""
    return func.coalesce(asset.c.owner_id, "") == _OWNER, asset.c.published


def _directed(order: list[ColumnElement[Any]], *, descending: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if descending else column.asc() for column in order]


def _beyond(order: list[ColumnElement[Any]], *, descending: bool) -> ColumnElement[bool]:
    seq: BindParameter[Any] = bindparam("after_seq")
    if len(order) == 1:
        return order[0] < seq if descending else order[0] > seq
    place = tuple_(bindparam("after_key", type_=order[0].type), seq)
    return tuple_(*order) < place if descending else tuple_(*order) > place
