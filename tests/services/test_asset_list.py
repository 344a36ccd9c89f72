"""Lists of assets compared with a plain scan of all assets, and the query plans of the lists."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.database import ANNA, BEN, NOW, Env, opened
from tests.plans import Step, plans

from safelight.core.asset import PUBLIC_OWNER, Asset, AssetFilter, AssetPage, AssetSort
from safelight.core.digest import Digest
from safelight.core.errors import Invalid
from safelight.core.ids import AssetId
from safelight.core.metadata_field import parse_metadata_filter
from safelight.core.user import Principal
from safelight.db import user
from safelight.db.transaction import Transaction
from safelight.services import asset_library as library
from safelight.services.asset_library import NewAsset

pytestmark = pytest.mark.anyio

COUNT = 3_900
"""More assets than are ever sorted, so that every query plan is used."""
WORDS = ("Portrait", "forest", "NEBULA", "straße", "x1", "grain")


def made() -> Iterator[NewAsset]:
    chance = random.Random(7)
    for number in range(COUNT):
        tags = [
            tag
            for tag, share in (("most", 0.95), ("half", 0.5), ("few", 0.02), ("one", 0.0005))
            if chance.random() < share
        ]
        metadata: dict[str, Any] = {"base": chance.choice(["SDXL", "SD1"]), "sizes": [512, number % 7]}
        yield NewAsset(
            name=f"{chance.choice(WORDS)}-{chance.choice(WORDS)} {chance.randrange(900)}.png",
            digest=Digest(f"{number % 4000:064x}"),
            size=chance.randrange(1000),
            mime_type="image/png",
            tags=tags,
            user_metadata=metadata if chance.random() < 0.5 else None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def env(tmp_path_factory: pytest.TempPathFactory, each_database_for_all: str) -> AsyncIterator[Env]:
    folder: Path = tmp_path_factory.mktemp("assets")

    def fill(tx: Transaction) -> None:
        user.ensure(tx.conn, PUBLIC_OWNER, name="public", is_admin=False, now=NOW)
        for number, new in enumerate(made()):
            add(tx, ANNA, new, now=NOW + timedelta(seconds=number))
        for number in range(30):
            shared = NewAsset(
                name=f"shared {number}", digest=Digest("f" * 64), size=number, mime_type="", tags=["half"]
            )
            add(tx, Principal(PUBLIC_OWNER), shared, now=NOW)
        new = NewAsset(name="Ben's portrait", digest=Digest("e" * 64), size=1, mime_type="a/b", tags=["half", "bens"])
        add(tx, BEN, new, now=NOW)

    async with opened(folder) as db:
        await db.write(fill)
        yield Env(db, [])


def add(tx: Transaction, who: Principal, new: NewAsset, *, now: Any) -> None:
    from safelight.db import asset, blob

    blob.ensure(tx.conn, digest=new.digest, size=new.size, now=now)
    row = Asset(
        id=AssetId(f"{who.user_id}-{new.name}-{random.random()}"[:36]),
        owner_id=who.user_id,
        name=new.name,
        digest=new.digest,
        size=new.size,
        mime_type=new.mime_type,
        created_at=now,
        updated_at=NOW + timedelta(seconds=new.size % 100),
        tags=tuple(new.tags),
        user_metadata=new.user_metadata or {},
    )
    asset.add(tx.conn, row)


FILTERS = [
    AssetFilter(),
    AssetFilter(include_tags=("half",)),
    AssetFilter(include_tags=("few",)),
    AssetFilter(include_tags=("most", "half")),
    AssetFilter(include_tags=("most", "half", "few")),
    AssetFilter(include_tags=("one",)),
    AssetFilter(include_tags=("half", "nobody")),
    AssetFilter(include_tags=("bens",)),
    AssetFilter(exclude_tags=("half",)),
    AssetFilter(include_tags=("most",), exclude_tags=("half", "few")),
    AssetFilter(any_tags=("few", "one")),
    AssetFilter(any_tags=("most", "half"), exclude_tags=("few",)),
    AssetFilter(name_contains="portrait"),
    AssetFilter(name_contains="RTRAIT-NEB"),
    AssetFilter(name_contains="STRASSE"),
    AssetFilter(name_contains="x1"),
    AssetFilter(name_contains=".png"),
    AssetFilter(name_contains="%"),
    AssetFilter(name_contains='" OR "'),
    AssetFilter(name_contains="forest", include_tags=("few",)),
    AssetFilter(digest=Digest(f"{5:064x}")),
    AssetFilter(fields=parse_metadata_filter('{"base": "SDXL"}')),
    AssetFilter(fields=parse_metadata_filter('{"base": ["SDXL", "SD1"], "sizes": 3}')),
    AssetFilter(fields=parse_metadata_filter('{"base": null}'), include_tags=("few",)),
    AssetFilter(fields=parse_metadata_filter('{"other": 1}')),
]


def matches(asset: Asset, wanted: AssetFilter) -> bool:
    tags = set(asset.tags)
    fields = {
        "base": {asset.user_metadata["base"]} if "base" in asset.user_metadata else set(),
        "sizes": set(asset.user_metadata.get("sizes", [])),
    }
    for field in wanted.fields:
        key = field.words[0].partition("=")[0]
        held = {f'{key}="{v}"' if isinstance(v, str) else f"{key}={v}" for v in fields.get(key, ())}
        if field.is_absent == bool(held) if field.is_absent else not held & set(field.words):
            return False
    return (
        tags >= set(wanted.include_tags)
        and not tags & set(wanted.exclude_tags)
        and (not wanted.any_tags or bool(tags & set(wanted.any_tags)))
        and wanted.name_contains.casefold() in asset.name.casefold()
        and wanted.digest in (None, asset.digest)
    )


KEYS: dict[AssetSort, Callable[[Asset], Any]] = {
    AssetSort.NAME: lambda a: a.name,
    AssetSort.CREATED_AT: lambda a: (),
    AssetSort.UPDATED_AT: lambda a: a.updated_at,
    AssetSort.SIZE: lambda a: a.size,
    AssetSort.LAST_ACCESS_TIME: lambda a: a.last_access_at,
}


@pytest.fixture(scope="module")
async def everything(env: Env) -> list[Asset]:
    """Anna's assets and public ones, oldest first."""
    found: list[Asset] = []
    after = None
    while True:
        page = await env.read(library.list, ANNA, wanted=AssetFilter(), descending=False, limit=500, after=after)
        found += page.assets
        after = page.next
        if after is None:
            return found


async def test_all_of_an_owner_and_what_is_public(everything: list[Asset]) -> None:
    assert [a.name for a in everything if a.owner_id == ANNA.user_id] == [new.name for new in made()]
    assert len(everything) == COUNT + 30
    assert {a.owner_id for a in everything} == {ANNA.user_id, PUBLIC_OWNER}


@pytest.mark.parametrize("sort", AssetSort)
@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
async def test_a_list_is_what_a_plain_reading_finds(
    env: Env, everything: list[Asset], wanted: AssetFilter, sort: AssetSort
) -> None:
    for public, descending in ((True, True), (False, False)):
        asked = replace(wanted, include_public=public)
        expected = [a for a in everything if matches(a, wanted) and (public or a.owner_id == ANNA.user_id)]
        ordered = sorted(enumerate(expected), key=lambda pair: (KEYS[sort](pair[1]), pair[0]), reverse=descending)
        ids = [a.id for _, a in ordered]
        after, paged, limit = None, [], 37
        for _ in range(3):
            page = await env.read(
                library.list, ANNA, wanted=asked, sort=sort, descending=descending, limit=limit, after=after
            )
            paged += [a.id for a in page.assets]
            assert page.has_more == (len(paged) < len(ids))
            assert page.total == len(ids) or 200 < page.total < len(ids)
            if (after := page.next) is None:
                break
        assert paged == ids[: len(paged)]
        assert len(paged) == min(len(ids), 3 * limit)
        page = await env.read(library.list, ANNA, wanted=asked, sort=sort, descending=descending, limit=5, offset=33)
        assert [a.id for a in page.assets] == ids[33:38]


async def test_a_cursor_belongs_to_its_order(env: Env) -> None:
    page = await env.read(library.list, ANNA, wanted=AssetFilter(), limit=5)
    for sort, descending in ((AssetSort.NAME, True), (AssetSort.CREATED_AT, False)):
        with pytest.raises(Invalid):
            await env.read(
                library.list, ANNA, wanted=AssetFilter(), sort=sort, descending=descending, limit=5, after=page.next
            )


@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
async def test_tags_are_counted_under_a_filter(env: Env, everything: list[Asset], wanted: AssetFilter) -> None:
    expected: dict[str, int] = {}
    for asset in everything:
        for tag in asset.tags if matches(asset, wanted) else ():
            expected[tag] = expected.get(tag, 0) + 1
    counts = await env.read(library.histogram, ANNA, wanted=wanted, limit=100)
    assert {tag.name: tag.count for tag in counts} == expected


async def test_nobody_pays_for_another_owners_assets(env: Env) -> None:
    page = await env.read(library.list, BEN, wanted=AssetFilter(include_public=False), limit=500)
    assert [a.name for a in page.assets] == ["Ben's portrait"]
    page = await env.read(
        library.list, BEN, wanted=AssetFilter(include_public=False, name_contains="portrait"), limit=500
    )
    assert page.total == 1


def steps_of(
    tx: Transaction, wanted: AssetFilter, sort: AssetSort, after: Any, *, is_sorting_dear: bool = False
) -> tuple[list[Step], Any]:
    """The query plans of a page, of its tags, and of the next page."""
    pages: list[AssetPage] = []

    def read() -> None:
        pages.append(library.list(tx, ANNA, wanted=wanted, sort=sort, limit=20, after=after))
        library.histogram(tx, ANNA, wanted=wanted, limit=100)

    steps = [step for plan in plans(tx, read, is_sorting_dear=is_sorting_dear) for step in plan]
    return steps, pages[0].next


@pytest.mark.parametrize("sort", AssetSort)
async def test_no_list_scans_a_table(env: Env, sort: AssetSort) -> None:
    steps: list[Step] = []
    for wanted in FILTERS:
        first, after = await env.read(steps_of, wanted, sort, None)
        following, _ = await env.read(steps_of, wanted, sort, after)
        steps += first + following
    assert len(steps) > 100
    assert {step.text for step in steps if step.table} == set()


@pytest.mark.parametrize("sort", AssetSort)
async def test_an_order_is_walked_along_its_index(env: Env, sort: AssetSort) -> None:
    """Without a filter, or with one that most assets match, the table is neither scanned nor sorted."""
    index = {AssetSort.CREATED_AT: "creation", AssetSort.LAST_ACCESS_TIME: "last_access_at"}.get(sort, sort.value)
    for wanted in (AssetFilter(), AssetFilter(exclude_tags=("few",))):
        after = None
        for _ in range(2):
            steps, after = await env.read(steps_of, wanted, sort, after, is_sorting_dear=True)
            assert f"ix_asset_by_{index}" in {step.index for step in steps}
