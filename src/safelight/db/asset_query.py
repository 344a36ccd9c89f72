"""The statements of lists of assets. Each is built once for its shape: building one costs more than running it.

``db/asset_list.py`` says what a shape is, and when which plan is used. Filters are scalar subqueries, so that no query
planner starts from them.
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

SHORT_TEXT_WINDOW = 8_000
"""How many assets are searched for a text of one or two characters."""
KEYS: dict[AssetSort, ColumnElement[Any]] = {
    AssetSort.NAME: asset.c.name,
    AssetSort.CREATED_AT: asset.c.seq,
    AssetSort.UPDATED_AT: asset.c.updated_at,
    AssetSort.SIZE: asset.c.size,
    AssetSort.LAST_ACCESS_TIME: asset.c.last_access_at,
}
_OWNER: BindParameter[Any] = bindparam("owner")
_OWNED = asset.c.owner_id == _OWNER


class QueryPlan(Enum):
    """How a page is read; see ``db/asset_list.py``."""

    BY_IDS = "by ids"
    INDEX_SCAN = "index scan"
    FILTER = "filter"


class Kind(Enum):
    TAG = "tag"
    FIELD = "field"
    NAME = "name"  # by the table of trigrams
    NAME_LIKE = "name like"  # by an index that answers LIKE
    SHORT_NAME = "short name"  # has no trigram, so no index helps
    DIGEST = "digest"


class Shape(NamedTuple):
    """What the SQL of a condition depends on. ``is_several``: has one of several words; ``is_absent``: has none of
    them."""

    kind: Kind
    is_several: bool = False
    is_absent: bool = False

    @property
    def has_index(self) -> bool:
        """Whether an index finds the assets that meet the condition."""
        return self.kind is not Kind.SHORT_NAME and not self.is_absent


@lru_cache(maxsize=1024)
def page(plan: QueryPlan, shapes: tuple[Shape, ...], sort: AssetSort, descending: bool, is_after: bool) -> Select[Any]:
    query = _in_order(plan, shapes, sort, rows.COLUMNS, descending=descending, is_after=is_after)
    return query.limit(bindparam("limit")).offset(bindparam("offset"))


@lru_cache(maxsize=256)
def tags_of(plan: QueryPlan, shapes: tuple[Shape, ...]) -> Select[Any]:
    newest = _in_order(plan, shapes, AssetSort.CREATED_AT, (asset.c.seq,), descending=True, is_after=False)
    seqs = newest.limit(bindparam("limit"))
    return select(asset_tag.c.tag, func.count()).where(asset_tag.c.asset_seq.in_(seqs)).group_by(asset_tag.c.tag)


@lru_cache(maxsize=256)
def count(shapes: tuple[Shape, ...]) -> Select[Any]:
    """The number of assets that meet all conditions, up to the bound ``:most``. Reads them in no particular order."""
    if not shapes or not shapes[0].has_index:
        by_creation = (AssetSort.CREATED_AT, (asset.c.seq,))
        return _limited(_in_order(QueryPlan.FILTER, shapes, *by_creation, descending=True, is_after=False))
    matching = _matching(shapes[0]).subquery()
    query = select(asset.c.seq).select_from(matching.join(asset, asset.c.seq == matching.c[0])).where(*_is_listed())
    return _limited(query.where(*_filters(shapes, asset.c.seq, start=1)))


@lru_cache(maxsize=32)
def count_matching(shape: Shape) -> Select[Any]:
    """The number of assets that meet one condition with an index, up to the bound ``:most``."""
    return _limited(_matching(shape))


def _limited(query: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(query.limit(bindparam("most")).subquery())


def _in_order(
    plan: QueryPlan,
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
    if plan is QueryPlan.INDEX_SCAN:
        tag = asset_tag.c.tag == bindparam(parameter_name(shapes[0], 0))
        query = query.select_from(asset_tag.join(asset, asset.c.seq == asset_tag.c.asset_seq))
        query = query.where(asset_tag.c.owner_id == _OWNER, tag)
        order = [asset_tag.c.asset_seq]
    elif plan is QueryPlan.BY_IDS:
        query = query.where(asset.c.seq.in_(_matching(shapes[0])), *_is_listed())
    else:
        query = query.where(_OWNED, IS_PUBLISHED)
        if any(shape.kind is Kind.SHORT_NAME for shape in shapes):
            query = query.where(asset.c.seq.in_(_window(order, descending=descending, is_after=is_after)))
    query = query.where(*_filters(shapes, order[-1], start=0 if plan is QueryPlan.FILTER else 1))
    if is_after:
        query = query.where(_beyond(order, descending=descending))
    return query.order_by(*_directed(order, descending=descending))


def _window(order: list[ColumnElement[Any]], *, descending: bool, is_after: bool) -> Select[Any]:
    """The next assets in the order, to which the search for a short text is limited."""
    window = select(asset.c.seq).where(_OWNED, IS_PUBLISHED)
    if is_after:
        window = window.where(_beyond(order, descending=descending))
    return window.order_by(*_directed(order, descending=descending)).limit(SHORT_TEXT_WINDOW)


def _matching(shape: Shape) -> Select[Any]:
    """The ``seq`` of the assets that meet a condition with an index, each once."""
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


def _filters(shapes: tuple[Shape, ...], seq: ColumnElement[int], *, start: int) -> list[ColumnElement[bool]]:
    return [_filter(shape, position, seq) for position, shape in enumerate(shapes) if position >= start]


def _filter(shape: Shape, position: int, seq: ColumnElement[int]) -> ColumnElement[bool]:
    value = _bind(shape, position)
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


def _bind(shape: Shape, position: int) -> BindParameter[Any]:
    return bindparam(parameter_name(shape, position), expanding=shape.is_several)


def parameter_name(shape: Shape, position: int) -> str:
    return f"{shape.kind.name.lower()}_{position}"


def _is_listed() -> tuple[ColumnElement[bool], ...]:
    """A condition on a row found by its ``seq``, in a form that no index can serve: a planner without statistics would
    otherwise read all assets of the owner."""
    return func.coalesce(asset.c.owner_id, "") == _OWNER, asset.c.published


def _directed(order: list[ColumnElement[Any]], *, descending: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if descending else column.asc() for column in order]


def _beyond(order: list[ColumnElement[Any]], *, descending: bool) -> ColumnElement[bool]:
    seq: BindParameter[Any] = bindparam("after_seq")
    if len(order) == 1:
        return order[0] < seq if descending else order[0] > seq
    position = tuple_(bindparam("after_key", type_=order[0].type), seq)
    return tuple_(*order) < position if descending else tuple_(*order) > position
