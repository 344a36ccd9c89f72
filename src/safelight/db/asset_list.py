"""A page of assets with any filter and in any order, without a scan of all assets of the owner.

A condition of a filter (a tag, a metadata field, a text in the name, a digest) can be used in two ways: to *find* the
assets that meet it, from an index, or to *filter* assets found otherwise. The cost of a page is estimated before it is
read, from stored counts and from counts that stop early. There are three plans:

* ``BY_IDS``: find the assets of the rarest condition, filter them by the others, and sort. Costs as many steps as the
  rarest condition has assets.
* ``INDEX_SCAN``: the same without the sort, if the rarest condition is a tag and the order is that of creation.
* ``FILTER``: read along the index of the order, and filter by all conditions. If fractions f1, f2 ... of the assets
  meet the conditions, a page of n costs n / (f1 * f2 ...) steps: very little if all conditions are common.

The cheapest plan is used. The statements are in ``db/asset_query.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from safelight.core.asset import AssetCursor, AssetFilter, AssetPage, AssetSort
from safelight.core.clock import from_ms, to_ms
from safelight.core.ids import UserId
from safelight.db import asset as rows
from safelight.db import asset_index as index
from safelight.db import asset_query as query
from safelight.db import name_search
from safelight.db.asset_query import Kind, QueryPlan, Shape, parameter_name

COUNTED = 200
"""How far beyond the page assets are counted for the total, if no stored count gives it."""
SAMPLED = 4_000
"""Under a filter, tags are counted over this many of the newest assets."""
_ESTIMATED = 3_000
"""The assets that meet a condition are counted up to this number; above it, ``_MANY`` is assumed."""
_MANY = 5 * _ESTIMATED
_SORTED = 2_000


@dataclass(frozen=True)
class _Condition:
    """``value``: the bound parameter. ``estimate``: a lower bound of the number of assets that meet it."""

    shape: Shape
    value: Any
    estimate: float


@dataclass(frozen=True)
class _Lookup:
    """How the assets of one owner are found. ``conditions``: the rarest one with an index first. ``total``: their
    number, if a stored count gives it."""

    owner: UserId
    plan: QueryPlan
    conditions: Sequence[_Condition]
    total: int | None

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(condition.shape for condition in self.conditions)

    @property
    def values(self) -> dict[str, Any]:
        bound = {parameter_name(one.shape, position): one.value for position, one in enumerate(self.conditions)}
        if named := next((c.value for c in self.conditions if c.shape.kind is Kind.NAME), None):
            bound["pattern"] = name_search.pattern(self.owner, contains=named)
        for position, condition in enumerate(self.conditions):
            if condition.shape.kind in (Kind.NAME, Kind.NAME_LIKE, Kind.SHORT_NAME):
                bound[parameter_name(condition.shape, position)] = f"%{_escaped(condition.value)}%"
        return bound | {"owner": self.owner}


def page(
    conn: Connection,
    owners: Sequence[UserId],
    *,
    wanted: AssetFilter,
    sort: AssetSort,
    descending: bool,
    limit: int,
    offset: int = 0,
    after: AssetCursor | None = None,
) -> AssetPage:
    """The assets of all ``owners``, merged. With ``after``, ``offset`` is ignored."""
    offset = 0 if after else offset
    found: list[Row[Any]] = []
    total = 0
    lookups = _lookups(conn, owners, wanted, sort=sort, enough=offset + limit + 1)
    start = offset if len(lookups) == 1 else 0
    window = {"limit": offset - start + limit + 1, "offset": start, **_after(after)}
    for lookup in lookups:
        statement = query.page(lookup.plan, lookup.shapes, sort, descending, after is not None)
        found += conn.execute(statement, lookup.values | window).all()
        total += _total(conn, lookup, at_least=offset + limit)
    found.sort(key=lambda row: _position(row, sort), reverse=descending)
    shown = found[offset - start :]
    has_more = len(shown) > limit
    shown = shown[:limit]
    last = _position(shown[-1], sort) if has_more else None
    following = AssetCursor(sort, descending, _plain(last[0]), last[1]) if last else None
    if after is None and shown:
        total = max(total, offset + len(shown) + has_more)
    return AssetPage(rows.assets(conn, shown), total, has_more, following)


def tag_counts(conn: Connection, owners: Sequence[UserId], *, wanted: AssetFilter) -> dict[str, int]:
    """How many of the assets have each tag, among the newest :data:`SAMPLED` of each owner."""
    counted: dict[str, int] = {}
    for lookup in _lookups(conn, owners, wanted, sort=AssetSort.CREATED_AT, enough=SAMPLED):
        statement = query.tags_of(lookup.plan, lookup.shapes)
        for tag, count in conn.execute(statement, lookup.values | {"limit": SAMPLED}):
            counted[tag] = counted.get(tag, 0) + count
    return counted


def _lookups(
    conn: Connection, owners: Sequence[UserId], wanted: AssetFilter, *, sort: AssetSort, enough: int
) -> list[_Lookup]:
    """One lookup for each owner who may have such assets. ``enough``: how many assets will be read."""
    counts = index.counts(conn, owners, tags={*wanted.include_tags, *wanted.exclude_tags, *wanted.any_tags})
    found = (_lookup(conn, owner, wanted, counts[owner], sort=sort, enough=enough) for owner in owners)
    return [lookup for lookup in found if lookup is not None]


def _lookup(
    conn: Connection, owner: UserId, wanted: AssetFilter, counts: Mapping[str, int], *, sort: AssetSort, enough: int
) -> _Lookup | None:
    """``None`` if the owner certainly has no such assets."""
    everything = counts[index.ALL]
    if everything == 0:
        return None
    conditions = [_Condition(Shape(Kind.TAG), tag, counts[tag]) for tag in wanted.include_tags]
    if wanted.any_tags:
        estimate = sum(counts[tag] for tag in wanted.any_tags)
        conditions.append(_Condition(Shape(Kind.TAG, is_several=True), list(wanted.any_tags), estimate))
    if wanted.name_contains:
        text = name_search.fold(wanted.name_contains)
        long_kind = Kind.NAME_LIKE if name_search.is_index(conn) else Kind.NAME
        kind = long_kind if len(text) >= name_search.SHORTEST else Kind.SHORT_NAME
        conditions.append(_estimated(conn, owner, Shape(kind), text, everything))
    for field in wanted.fields:
        several = len(field.words) > 1
        value = list(field.words) if several else field.words[0]
        shape = Shape(Kind.FIELD, is_several=several, is_absent=field.is_absent)
        conditions.append(_estimated(conn, owner, shape, value, everything))
    if wanted.digest is not None:
        conditions.append(_estimated(conn, owner, Shape(Kind.DIGEST), wanted.digest, everything))
    if any(condition.estimate == 0 for condition in conditions):
        return None
    kept = everything if not conditions else conditions[0].estimate if _is_one_tag(wanted, conditions) else None
    without = [tag for tag in wanted.exclude_tags if counts[tag]]
    conditions += [_Condition(Shape(Kind.TAG, is_absent=True), tag, everything) for tag in without]
    conditions.sort(key=lambda condition: (not condition.shape.has_index, condition.estimate))
    plan = _cheapest(conditions, everything, sort=sort, enough=enough)
    return _Lookup(owner, plan, conditions, int(kept) if kept is not None and not without else None)


def _cheapest(conditions: Sequence[_Condition], everything: int, *, sort: AssetSort, enough: int) -> QueryPlan:
    if not conditions or not conditions[0].shape.has_index:
        return QueryPlan.FILTER
    rarest = conditions[0]
    if sort is AssetSort.CREATED_AT and rarest.shape == Shape(Kind.TAG):
        return QueryPlan.INDEX_SCAN
    steps = float(enough)
    for condition in conditions:
        steps *= max(1.0, everything / max(condition.estimate, 1.0))
    return QueryPlan.BY_IDS if rarest.estimate <= _SORTED or rarest.estimate < steps else QueryPlan.FILTER


def _estimated(conn: Connection, owner: UserId, shape: Shape, value: Any, everything: int) -> _Condition:
    if not shape.has_index:
        return _Condition(shape, value, everything)
    alone = _Lookup(owner, QueryPlan.BY_IDS, [_Condition(shape, value, 0)], None)
    count: int = conn.execute(query.count_matching(shape), alone.values | {"most": _ESTIMATED}).scalar_one()
    return _Condition(shape, value, _MANY if count == _ESTIMATED else count)


def _total(conn: Connection, lookup: _Lookup, *, at_least: int) -> int:
    if lookup.total is not None:
        return lookup.total
    values = lookup.values | {"most": at_least + COUNTED, "limit": at_least + COUNTED}
    count: int = conn.execute(query.count(lookup.shapes), values).scalar_one()
    return count


def _is_one_tag(wanted: AssetFilter, conditions: Sequence[_Condition]) -> bool:
    return len(conditions) == 1 and len(wanted.include_tags) == 1


def _after(after: AssetCursor | None) -> dict[str, Any]:
    if after is None:
        return {}
    is_time = after.sort in (AssetSort.UPDATED_AT, AssetSort.LAST_ACCESS_TIME)
    return {"after_key": from_ms(int(after.key)) if is_time else after.key, "after_seq": after.seq}


def _escaped(text: str) -> str:
    """For LIKE with ``ESCAPE '/'``."""
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


def _position(row: Row[Any], sort: AssetSort) -> tuple[Any, int]:
    key = query.KEYS[sort]
    return row._mapping[key], row.seq


def _plain(key: Any) -> str | int:
    return key if isinstance(key, (str, int)) else to_ms(key)
