"""A page of assets: any filter, any order, and never a scan of all that an owner has.

Each condition of a filter (a tag, a field of the metadata, a text in the name, a digest) can do two things: *drive*,
which gives the assets that meet it, and *probe*, which looks whether one asset meets it. What a page costs is known
before it is read, from counts that are kept or that stop early:

* ``FEW``: the rarest condition drives, the others probe, the rest is sorted. Costs as many steps as it drives.
* ``ALONG``: the same without a sort, where the rarest condition is a tag and the order is that of creation.
* ``WALK``: the index of the order is walked, and all conditions probe. With conditions that hold for shares f1, f2 ...
  of the assets, a page of n costs n / (f1 * f2 ...) steps: next to nothing where all are common.

The cheapest way is taken. Probes are scalar subqueries, so that no planner turns them into the drive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, FromClause, Row, Select, Table, func, literal, select, tuple_

from safelight.core.asset import AssetFilter, AssetPage, AssetPlace, AssetSort
from safelight.core.clock import from_ms, to_ms
from safelight.core.ids import UserId
from safelight.db import asset as rows
from safelight.db import asset_index as index
from safelight.db import name_search
from safelight.db.tables import IS_PUBLISHED, asset, asset_field, asset_tag

COUNTED = 1_000
"""A total is exact up to here above the page, unless a count of it is kept."""
SAMPLED = 10_000
"""Of how many assets, the newest, tags are counted under a filter."""
WALKED = 20_000
"""How many assets are looked through for a text of one or two characters."""
_ESTIMATED = 5_000
_SORTED = 4_000

_KEYS: dict[AssetSort, ColumnElement[Any]] = {
    AssetSort.NAME: asset.c.name,
    AssetSort.CREATED_AT: asset.c.seq,
    AssetSort.UPDATED_AT: asset.c.updated_at,
    AssetSort.SIZE: asset.c.size,
    AssetSort.LAST_ACCESS_TIME: asset.c.last_access_at,
}


class Way(Enum):
    FEW = "few"
    ALONG = "along"
    WALK = "walk"


@dataclass(frozen=True)
class _Condition:
    """``estimate``: of how many assets it holds, at least. ``drive``: their ``seq``; ``None`` where it cannot."""

    estimate: float
    drive: Select[Any] | None

    def probe(self, seq: ColumnElement[int]) -> ColumnElement[bool]:
        raise NotImplementedError


@dataclass(frozen=True)
class _Words(_Condition):
    """Of ``words`` in a table of ``(owner, word, seq)``: one, or none."""

    owner: UserId
    words: tuple[str, ...]
    column: Column[str]
    is_absent: bool = False

    @property
    def table(self) -> Table:
        return self.column.table

    def probe(self, seq: ColumnElement[int]) -> ColumnElement[bool]:
        words = self.table.alias()
        column = words.c[self.column.key]
        word = column == self.words[0] if len(self.words) == 1 else column.in_(self.words)
        where = (words.c.owner_id == self.owner, word, words.c.asset_seq == seq)
        found = select(literal(1)).select_from(words).where(*where).limit(1).scalar_subquery()
        return found.is_(None) if self.is_absent else found.is_not(None)


@dataclass(frozen=True)
class _InName(_Condition):
    text: str

    def probe(self, seq: ColumnElement[int]) -> ColumnElement[bool]:
        return asset.c.search_name.contains(self.text, autoescape=True)


@dataclass(frozen=True)
class _OfDigest(_Condition):
    digest: str

    def probe(self, seq: ColumnElement[int]) -> ColumnElement[bool]:
        return asset.c.digest == self.digest


@dataclass(frozen=True)
class _Plan:
    """How the assets of one owner are found. ``total``: what is known of their number, if it is."""

    owner: UserId
    way: Way
    driver: _Condition | None
    conditions: Sequence[_Condition]
    params: dict[str, Any]
    total: int | None

    def select(self, *what: Any, sort: AssetSort, descending: bool, after: AssetPlace | None) -> Select[Any]:
        key = _KEYS[sort]
        order: list[ColumnElement[Any]] = [asset.c.seq] if key is asset.c.seq else [key, asset.c.seq]
        query = select(*what)
        if self.way is Way.ALONG:
            assert isinstance(self.driver, _Words)
            query = query.select_from(asset_tag.join(asset, asset.c.seq == asset_tag.c.asset_seq))
            query = query.where(asset_tag.c.owner_id == self.owner, asset_tag.c.tag == self.driver.words[0])
            order = [asset_tag.c.asset_seq]
        elif self.way is Way.FEW:
            assert self.driver is not None
            assert self.driver.drive is not None
            query = query.where(asset.c.seq.in_(self.driver.drive), asset.c.owner_id == self.owner, asset.c.published)
        else:
            query = query.where(asset.c.owner_id == self.owner, IS_PUBLISHED)
            if any(isinstance(c, _InName) and c.drive is None for c in self.conditions):
                query = query.where(asset.c.seq.in_(self._window(order, descending, after)))
        query = query.where(*(c.probe(order[-1]) for c in self.conditions if c is not self.driver))
        if after is not None:
            query = query.where(_beyond(order, descending, after))
        return query.order_by(*(column.desc() if descending else column.asc() for column in order))

    def _window(self, order: list[ColumnElement[Any]], descending: bool, after: AssetPlace | None) -> Select[Any]:
        """The next assets along the order, all that a short text is looked for in."""
        window = select(asset.c.seq).where(asset.c.owner_id == self.owner, IS_PUBLISHED)
        if after is not None:
            window = window.where(_beyond(order, descending, after))
        return window.order_by(*(c.desc() if descending else c.asc() for c in order)).limit(WALKED)


def page(
    conn: Connection,
    owners: Sequence[UserId],
    *,
    wanted: AssetFilter,
    sort: AssetSort,
    descending: bool,
    limit: int,
    offset: int = 0,
    after: AssetPlace | None = None,
) -> AssetPage:
    """The assets of ``owners``, merged. ``after`` takes the place of ``offset``."""
    offset = 0 if after else offset
    found: list[Row[Any]] = []
    total = 0
    plans = [plan for owner in owners if (plan := _plan(conn, owner, wanted, sort=sort, enough=offset + limit + 1))]
    start = offset if len(plans) == 1 else 0
    for plan in plans:
        heads = plan.select(*rows.COLUMNS, sort=sort, descending=descending, after=after)
        heads = heads.limit(offset - start + limit + 1).offset(start)
        found += conn.execute(heads, plan.params).all()
        total += _total(conn, plan, at_least=offset + limit)
    found.sort(key=lambda row: _place(row, sort), reverse=descending)
    shown = found[offset - start :]
    has_more = len(shown) > limit
    shown = shown[:limit]
    last = _place(shown[-1], sort) if has_more else None
    following = AssetPlace(sort, descending, _plain(last[0]), last[1]) if last else None
    if after is None and shown:
        total = max(total, offset + len(shown) + has_more)
    return AssetPage(rows.assets(conn, shown), total, has_more, following)


def tag_counts(conn: Connection, owners: Sequence[UserId], *, wanted: AssetFilter) -> dict[str, int]:
    """How many of the assets have each tag; of the newest :data:`SAMPLED` where there are more."""
    counted: dict[str, int] = {}
    for owner in owners:
        plan = _plan(conn, owner, wanted, sort=AssetSort.CREATED_AT, enough=SAMPLED)
        if plan is None:
            continue
        seqs = plan.select(asset.c.seq, sort=AssetSort.CREATED_AT, descending=True, after=None).limit(SAMPLED)
        tags = select(asset_tag.c.tag, func.count()).where(asset_tag.c.asset_seq.in_(seqs)).group_by(asset_tag.c.tag)
        for tag, count in conn.execute(tags, plan.params):
            counted[tag] = counted.get(tag, 0) + count
    return counted


def _plan(conn: Connection, owner: UserId, wanted: AssetFilter, *, sort: AssetSort, enough: int) -> _Plan | None:
    """``enough``: how many assets are to be found. ``None``: it is sure that there is none."""
    asked = {*wanted.include_tags, *wanted.exclude_tags, *wanted.any_tags}
    counts = index.counts(conn, owner, tags=asked)
    everything = counts[index.ALL]
    conditions: list[_Condition] = [_tags(owner, (tag,), counts) for tag in wanted.include_tags]
    conditions += [_tags(owner, wanted.any_tags, counts)] if wanted.any_tags else []
    params: dict[str, Any] = {}
    if wanted.name_contains:
        conditions.append(_in_name(conn, owner, wanted.name_contains, everything, params))
    for wish in wanted.fields:
        conditions.append(_field(conn, owner, wish.words, everything, is_absent=wish.is_absent))
    if wanted.digest is not None:
        drive = select(asset.c.seq).where(asset.c.owner_id == owner, asset.c.digest == wanted.digest)
        conditions.append(_OfDigest(_bounded(conn, drive, {}), drive, wanted.digest))
    if everything == 0 or any(condition.estimate == 0 for condition in conditions):
        return None
    kept = everything if not conditions else conditions[0].estimate if _is_one_tag(wanted, conditions) else None
    conditions += [
        _Words(everything, None, owner, (tag,), asset_tag.c.tag, is_absent=True)
        for tag in wanted.exclude_tags
        if counts[tag]
    ]
    total = int(kept) if kept is not None and not any(counts[tag] for tag in wanted.exclude_tags) else None
    way, driver = _cheapest(conditions, everything, sort=sort, enough=enough)
    return _Plan(owner, way, driver, conditions, params, total)


def _cheapest(
    conditions: Sequence[_Condition], everything: int, *, sort: AssetSort, enough: int
) -> tuple[Way, _Condition | None]:
    drivers = sorted((c for c in conditions if c.drive is not None), key=lambda c: c.estimate)
    if not drivers:
        return Way.WALK, None
    rarest = drivers[0]
    is_tag = isinstance(rarest, _Words) and rarest.column is asset_tag.c.tag and len(rarest.words) == 1
    if sort is AssetSort.CREATED_AT and is_tag:
        return Way.ALONG, rarest
    steps = float(enough)
    for condition in conditions:
        steps *= max(1.0, everything / max(condition.estimate, 1.0))
    if rarest.estimate <= _SORTED or rarest.estimate < steps:
        return Way.FEW, rarest
    return Way.WALK, None


def _total(conn: Connection, plan: _Plan, *, at_least: int) -> int:
    if plan.total is not None:
        return plan.total
    matching = plan.select(asset.c.seq, sort=AssetSort.CREATED_AT, descending=True, after=None)
    return _bounded(conn, matching.order_by(None), plan.params, most=at_least + COUNTED)


def _tags(owner: UserId, tags: tuple[str, ...], counts: dict[str, int]) -> _Words:
    return _words(owner, tags, asset_tag.c.tag, sum(counts[tag] for tag in tags))


def _field(conn: Connection, owner: UserId, words: tuple[str, ...], everything: int, *, is_absent: bool) -> _Condition:
    if is_absent:
        return _Words(everything, None, owner, words, asset_field.c.field, is_absent=True)
    condition = _words(owner, words, asset_field.c.field, 0)
    assert condition.drive is not None
    return _words(owner, words, asset_field.c.field, _bounded(conn, condition.drive, {}))


def _words(owner: UserId, words: tuple[str, ...], column: Column[str], estimate: int) -> _Words:
    table: FromClause = column.table
    drive = select(table.c.asset_seq).where(table.c.owner_id == owner, column.in_(words))
    return _Words(estimate, drive, owner, words, column)


def _in_name(conn: Connection, owner: UserId, text: str, everything: int, params: dict[str, Any]) -> _Condition:
    """A short text has no trigram: it is looked for in a window of the order, and taken for common."""
    folded = name_search.fold(text)
    if len(folded) < name_search.SHORTEST:
        return _InName(everything, None, folded)
    params["pattern"] = name_search.pattern(owner, contains=folded)
    drive = name_search.matching()
    return _InName(_bounded(conn, drive, params), drive, folded)


def _is_one_tag(wanted: AssetFilter, conditions: Sequence[_Condition]) -> bool:
    return len(conditions) == 1 and len(wanted.include_tags) == 1


def _bounded(conn: Connection, query: Select[Any], params: dict[str, Any], *, most: int = _ESTIMATED) -> int:
    count: int = conn.execute(select(func.count()).select_from(query.limit(most).subquery()), params).scalar_one()
    return count


def _beyond(order: list[ColumnElement[Any]], descending: bool, after: AssetPlace) -> ColumnElement[bool]:
    if len(order) == 1:
        return order[0] < after.seq if descending else order[0] > after.seq
    is_time = after.sort in (AssetSort.UPDATED_AT, AssetSort.LAST_ACCESS_TIME)
    key = from_ms(int(after.key)) if is_time else after.key
    place = tuple_(literal(key, order[0].type), literal(after.seq))
    return tuple_(*order) < place if descending else tuple_(*order) > place


def _place(row: Row[Any], sort: AssetSort) -> tuple[Any, int]:
    key = _KEYS[sort]
    return row._mapping[key], row.seq


def _plain(key: Any) -> str | int:
    return key if isinstance(key, (str, int)) else to_ms(key)
