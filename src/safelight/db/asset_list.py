"""A page of assets: any filter, any order, and never a scan of all that an owner has.

Each condition of a filter (a tag, a field of the metadata, a text in the name, a digest) can do two things: *drive*,
which gives the assets that meet it, and *probe*, which looks whether one asset meets it. What a page costs is known
before it is read, from counts that are kept or that stop early:

* ``FEW``: the rarest condition drives, the others probe, the rest is sorted. Costs as many steps as it drives.
* ``ALONG``: the same without a sort, where the rarest condition is a tag and the order is that of creation.
* ``WALK``: the index of the order is walked, and all conditions probe. With conditions that hold for shares f1, f2 ...
  of the assets, a page of n costs n / (f1 * f2 ...) steps: next to nothing where all are common.

The cheapest way is taken. The statements: ``db/asset_query.py``.
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
from safelight.db.asset_query import Kind, Shape, Way, bound_name

COUNTED = 200
"""A total is exact up to here above the page, unless a count of it is kept."""
SAMPLED = 4_000
"""Of how many assets, the newest, tags are counted under a filter."""
_ESTIMATED = 3_000
"""Up to here the assets that meet a condition are counted; what is more is taken for ``_MANY``."""
_MANY = 5 * _ESTIMATED
_SORTED = 2_000


@dataclass(frozen=True)
class _Condition:
    """``value``: what is bound for it. ``estimate``: of how many assets it holds, at least."""

    shape: Shape
    value: Any
    estimate: float


@dataclass(frozen=True)
class _Plan:
    """How the assets of one owner are found. ``conditions``: the rarest that can drive comes first. ``total``: what is
    known of their number, if it is."""

    owner: UserId
    way: Way
    conditions: Sequence[_Condition]
    total: int | None

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(condition.shape for condition in self.conditions)

    @property
    def values(self) -> dict[str, Any]:
        bound = {bound_name(condition.shape, place): condition.value for place, condition in enumerate(self.conditions)}
        if named := next((c.value for c in self.conditions if c.shape.kind is Kind.NAME), None):
            bound["pattern"] = name_search.pattern(self.owner, contains=named)
        for place, condition in enumerate(self.conditions):
            if condition.shape.kind in (Kind.NAME, Kind.NAME_LIKE, Kind.SHORT_NAME):
                bound[bound_name(condition.shape, place)] = f"%{_escaped(condition.value)}%"
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
    """The assets of ``owners``, merged. ``after`` takes the place of ``offset``."""
    offset = 0 if after else offset
    found: list[Row[Any]] = []
    total = 0
    plans = _plans(conn, owners, wanted, sort=sort, enough=offset + limit + 1)
    start = offset if len(plans) == 1 else 0
    window = {"limit": offset - start + limit + 1, "offset": start, **_after(after)}
    for plan in plans:
        heads = query.heads(plan.way, plan.shapes, sort, descending, after is not None)
        found += conn.execute(heads, plan.values | window).all()
        total += _total(conn, plan, at_least=offset + limit)
    found.sort(key=lambda row: _place(row, sort), reverse=descending)
    shown = found[offset - start :]
    has_more = len(shown) > limit
    shown = shown[:limit]
    last = _place(shown[-1], sort) if has_more else None
    following = AssetCursor(sort, descending, _plain(last[0]), last[1]) if last else None
    if after is None and shown:
        total = max(total, offset + len(shown) + has_more)
    return AssetPage(rows.assets(conn, shown), total, has_more, following)


def tag_counts(conn: Connection, owners: Sequence[UserId], *, wanted: AssetFilter) -> dict[str, int]:
    """How many of the assets have each tag; of the newest :data:`SAMPLED` where there are more."""
    counted: dict[str, int] = {}
    for plan in _plans(conn, owners, wanted, sort=AssetSort.CREATED_AT, enough=SAMPLED):
        for tag, count in conn.execute(query.tags_of(plan.way, plan.shapes), plan.values | {"limit": SAMPLED}):
            counted[tag] = counted.get(tag, 0) + count
    return counted


def _plans(
    conn: Connection, owners: Sequence[UserId], wanted: AssetFilter, *, sort: AssetSort, enough: int
) -> list[_Plan]:
    """Of each owner who may have such assets. ``enough``: how many are to be found."""
    counts = index.counts(conn, owners, tags={*wanted.include_tags, *wanted.exclude_tags, *wanted.any_tags})
    found = (_plan(conn, owner, wanted, counts[owner], sort=sort, enough=enough) for owner in owners)
    return [plan for plan in found if plan is not None]


def _plan(
    conn: Connection, owner: UserId, wanted: AssetFilter, counts: Mapping[str, int], *, sort: AssetSort, enough: int
) -> _Plan | None:
    """``None``: it is sure that there is nothing."""
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
    conditions.sort(key=lambda condition: (not condition.shape.can_drive, condition.estimate))
    way = _cheapest(conditions, everything, sort=sort, enough=enough)
    return _Plan(owner, way, conditions, int(kept) if kept is not None and not without else None)


def _cheapest(conditions: Sequence[_Condition], everything: int, *, sort: AssetSort, enough: int) -> Way:
    if not conditions or not conditions[0].shape.can_drive:
        return Way.WALK
    rarest = conditions[0]
    if sort is AssetSort.CREATED_AT and rarest.shape == Shape(Kind.TAG):
        return Way.ALONG
    steps = float(enough)
    for condition in conditions:
        steps *= max(1.0, everything / max(condition.estimate, 1.0))
    return Way.FEW if rarest.estimate <= _SORTED or rarest.estimate < steps else Way.WALK


def _estimated(conn: Connection, owner: UserId, shape: Shape, value: Any, everything: int) -> _Condition:
    if not shape.can_drive:
        return _Condition(shape, value, everything)
    alone = _Plan(owner, Way.FEW, [_Condition(shape, value, 0)], None)
    count: int = conn.execute(query.count_of_drive(shape), alone.values | {"most": _ESTIMATED}).scalar_one()
    return _Condition(shape, value, _MANY if count == _ESTIMATED else count)


def _total(conn: Connection, plan: _Plan, *, at_least: int) -> int:
    if plan.total is not None:
        return plan.total
    values = plan.values | {"most": at_least + COUNTED, "limit": at_least + COUNTED}
    count: int = conn.execute(query.count_of_all(plan.shapes), values).scalar_one()
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


def _place(row: Row[Any], sort: AssetSort) -> tuple[Any, int]:
    key = query.KEYS[sort]
    return row._mapping[key], row.seq


def _plain(key: Any) -> str | int:
    return key if isinstance(key, (str, int)) else to_ms(key)
