"""Assets compared with a small model: uploads, tags, changes and deletions of two users in any order; lists, counts and
the needed bytes agree with it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.database import ANNA, BEN, NOW
from tests.services.rows import Rows

from safelight.core.asset import AssetFilter
from safelight.core.digest import Digest
from safelight.core.errors import NotFound
from safelight.core.ids import AssetId, UserId
from safelight.core.paging import PageRequest
from safelight.core.user import Principal
from safelight.db import blob as blob_rows
from safelight.services import asset_library as library
from safelight.services.asset_library import Change, NewAsset

PEOPLE = st.sampled_from([ANNA, BEN])
TAGS = st.sets(st.sampled_from(["input", "red", "green", "blue"]), max_size=3)
DIGESTS = st.sampled_from([Digest(f"{number:064x}") for number in range(4)])
NAMES = st.sampled_from(["Cat.png", "dog.png", "Katze_1.png", "x"])


@dataclass(frozen=True)
class Known:
    owner: UserId
    name: str
    digest: Digest
    tags: frozenset[str]


class AssetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.known: dict[AssetId, Known] = {}
        self.now: datetime = NOW

    def teardown(self) -> None:
        self.rows.close()

    @rule(who=PEOPLE, name=NAMES, digest=DIGESTS, tags=TAGS)
    def upload(self, who: Principal, name: str, digest: Digest, tags: set[str]) -> None:
        """The same bytes of the same owner are one asset, which gets the missing tags."""
        new = NewAsset(name=name, digest=digest, size=7, mime_type="image/png", tags=sorted(tags))
        there = [i for i, asset in self.known.items() if (asset.owner, asset.digest) == (who.user_id, digest)]
        asset, is_new = self.rows.do(library.add, who, new=new, now=self.tick())
        assert is_new == (not there)
        if is_new:
            self.known[asset.id] = Known(who.user_id, name, digest, frozenset(tags))
        else:
            [same] = there
            assert asset.id == same
            self.known[same] = replace(self.known[same], tags=self.known[same].tags | tags)

    @rule(who=PEOPLE, add=TAGS, remove=TAGS, data=st.data())
    def tag(self, who: Principal, add: set[str], remove: set[str], data: st.DataObject) -> None:
        asset_id = self.any_id(data)
        if not self.is_own(who, asset_id):
            self.refused(lambda: self.rows.do(library.change_tags, who, asset_id=asset_id, add=add))
            return
        change = self.rows.do(library.change_tags, who, asset_id=asset_id, add=add, remove=remove)
        tags = (self.known[asset_id].tags | add) - remove
        assert set(change.total) == tags
        self.known[asset_id] = replace(self.known[asset_id], tags=tags)

    @rule(who=PEOPLE, name=NAMES, data=st.data())
    def rename(self, who: Principal, name: str, data: st.DataObject) -> None:
        asset_id = self.any_id(data)
        if not self.is_own(who, asset_id):
            self.refused(
                lambda: self.rows.do(library.change, who, asset_id=asset_id, change=Change(name=name), now=self.now)
            )
            return
        self.rows.do(library.change, who, asset_id=asset_id, change=Change(name=name), now=self.tick())
        self.known[asset_id] = replace(self.known[asset_id], name=name)

    @rule(who=PEOPLE, data=st.data())
    def delete(self, who: Principal, data: st.DataObject) -> None:
        asset_id = self.any_id(data)
        if not self.is_own(who, asset_id):
            self.refused(lambda: self.rows.do(library.remove, who, asset_id=asset_id))
            return
        self.rows.do(library.remove, who, asset_id=asset_id)
        del self.known[asset_id]

    @invariant()
    def lists_are_as_the_model(self) -> None:
        for who in (ANNA, BEN):
            mine = {i: asset for i, asset in self.known.items() if asset.owner == who.user_id}
            page = self.rows.do(library.list, who, wanted=AssetFilter(), limit=100)
            shown = {a.id: (a.name, a.digest, frozenset(a.tags)) for a in page.assets}
            assert shown == {i: (asset.name, asset.digest, asset.tags) for i, asset in mine.items()}
            assert page.total == len(mine)
            for wanted in (AssetFilter(include_tags=("red",)), AssetFilter(exclude_tags=("red", "blue"))):
                found = self.rows.do(library.list, who, wanted=wanted, limit=100).assets
                tags = {i for i, a in mine.items() if set(wanted.include_tags) <= a.tags}
                assert {a.id for a in found} == {i for i in tags if not mine[i].tags & set(wanted.exclude_tags)}
            found = self.rows.do(library.list, who, wanted=AssetFilter(name_contains="kat"), limit=100).assets
            assert {a.id for a in found} == {i for i, asset in mine.items() if "kat" in asset.name.casefold()}

    @invariant()
    def tags_are_counted(self) -> None:
        for who in (ANNA, BEN):
            counted = Counter(tag for a in self.known.values() if a.owner == who.user_id for tag in a.tags)
            page = self.rows.do(
                library.tags,
                who,
                prefix="",
                include_zero=False,
                include_public=False,
                by_name=True,
                request=PageRequest(100),
            )
            assert {tag.name: tag.count for tag in page.items} == dict(counted)

    @invariant()
    def only_what_nobody_has_may_be_collected(self) -> None:
        unused = self.rows.do(lambda tx: blob_rows.unused(tx.conn, before=self.now + timedelta(days=1), limit=100))
        assert not {asset.digest for asset in self.known.values()} & set(unused)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def any_id(self, data: st.DataObject) -> AssetId:
        return data.draw(st.sampled_from([*self.known, AssetId("00000000-0000-4000-8000-000000000000")]))

    def is_own(self, who: Principal, asset_id: AssetId) -> bool:
        return asset_id in self.known and self.known[asset_id].owner == who.user_id

    def refused(self, step: Callable[[], object]) -> None:
        try:
            step()
        except NotFound:
            return
        raise AssertionError("it was not refused")


AssetMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAssets = AssetMachine.TestCase
