"""Tags and their counts, as ``/api/tags`` lists them."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, cast, func, select

from safelight.core.asset import TagCount
from safelight.core.ids import UserId
from safelight.core.paging import Page, PageRequest
from safelight.db.asset_index import ALL
from safelight.db.tables import asset_count


def page(
    conn: Connection,
    owners: Sequence[UserId],
    *,
    prefix: str,
    include_zero: bool,
    by_name: bool,
    request: PageRequest,
) -> Page[TagCount]:
    """The assets of all ``owners`` are counted together."""
    count = cast(func.sum(asset_count.c["count"]), BigInteger).label("used")  # PostgreSQL sums integers to a decimal
    query = select(asset_count.c.tag, count).where(asset_count.c.owner_id.in_(owners), asset_count.c.tag != ALL)
    if prefix:
        query = query.where(asset_count.c.tag >= prefix, asset_count.c.tag < prefix + "\U0010ffff")
    query = query.group_by(asset_count.c.tag)
    if not include_zero:
        query = query.having(count > 0)
    order = [asset_count.c.tag] if by_name else [count.desc(), asset_count.c.tag]
    found = conn.execute(query.order_by(*order).limit(request.limit).offset(request.offset))
    items = [TagCount(row.tag, row.used) for row in found]
    total = conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    return Page(items, total, request)
