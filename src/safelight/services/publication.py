"""Publishing a workflow of userdata: a snapshot under a share id, which every account that knows the id can read.

A published file has a saved workflow behind it, whose versions are the publications. Publishing the file again creates
a new share id; earlier ones stay readable. Deleting the file or the saved workflow withdraws all of them: the contract
has no other operation for that.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from safelight.core.asset import PUBLIC_OWNER
from safelight.core.digest import Digest
from safelight.core.errors import Invalid, InvalidName, LimitExceeded, NotFound, TooLarge
from safelight.core.ids import AssetId, ShareId, new_share_id
from safelight.core.publication import read_document, without_credentials
from safelight.core.user import Principal
from safelight.core.userdata import clean_path
from safelight.core.workflow import name_of_file
from safelight.db import owned_assets
from safelight.db import publication as rows
from safelight.db import user as user_rows
from safelight.db import workflow as workflow_rows
from safelight.db.publication import Publication, PublishedAsset
from safelight.db.transaction import Transaction
from safelight.db.types import encode_json
from safelight.services import quota as quotas
from safelight.services import userdata
from safelight.services import workflow as workflows

MAX_ASSETS = 1000
MODEL_TAG = "models"


@dataclass(frozen=True, slots=True)
class PublicationView:
    """A publication as its reader sees it. ``owned``: the digests of assets that the reader has as well;
    ``author``: the name of the user who published it."""

    publication: Publication
    owned: Set[Digest]
    author: str


def publish(
    tx: Transaction, who: Principal, *, path: str, asset_ids: Sequence[AssetId], max_bytes: int, now: datetime
) -> PublicationView:
    """Raises :class:`NotFound` for a missing file, and :class:`Invalid` for assets that the caller does not own."""
    content = read_document(_read(tx, who, path))
    shared = without_credentials(content)
    size = len(encode_json(shared))
    if size > max_bytes:
        raise LimitExceeded(f"the workflow has {size} bytes; at most {max_bytes} can be published")
    quotas.admit_bytes(tx, who, size=size)
    assets = _assets(tx, who, asset_ids)
    workflow_id, version = workflows.keep_file(tx, who, path=path, content=content, now=now)
    new = Publication(
        share_id=new_share_id(),
        owner_id=who.user_id,
        workflow_id=workflow_id,
        version=version,
        name=name_of_file(path),
        published_at=now,
        size=size,
        assets=assets,
    )
    rows.add(tx.conn, who.user_id, new=new, content=shared)
    return _view(tx, who, new)


def status(tx: Transaction, who: Principal, *, path: str) -> PublicationView | None:
    """The caller's latest publication of a file; ``None`` for a file that was never published."""
    _stat(tx, who, path)
    workflow_id = workflow_rows.find_at(tx.conn, who.user_id, path=clean_path(path))
    found = None if workflow_id is None else rows.newest(tx.conn, who.user_id, workflow_id=workflow_id)
    return None if found is None else _view(tx, who, found)


def read(
    tx: Transaction, who: Principal, *, share_id: ShareId, max_bytes: int
) -> tuple[PublicationView, Mapping[str, Any]]:
    """A publication and its graph. Raises :class:`TooLarge` if the limit was lowered after it was published."""
    found = _shared(tx, share_id)
    if found.size > max_bytes:
        raise TooLarge(f"the workflow has {found.size} bytes; at most {max_bytes} are served")
    return _view(tx, who, found), rows.content_of(tx.conn, share_id=share_id)


def own_graphs(
    tx: Transaction, who: Principal, *, at_most: int, max_bytes: int
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The names and documents of the caller's newest publications, one for each workflow; without those larger than
    ``max_bytes``."""
    found = rows.newest_of_owner(tx.conn, who.user_id, limit=at_most)
    return [(p.name, rows.content_of(tx.conn, share_id=p.share_id)) for p in found if p.size <= max_bytes]


def _shared(tx: Transaction, share_id: ShareId) -> Publication:
    found = rows.shared(tx.conn, share_id=share_id)
    if found is None:
        raise NotFound(f"there is no share {share_id}")
    return found


def _view(tx: Transaction, who: Principal, publication: Publication) -> PublicationView:
    digests = {asset.digest for asset in publication.assets}
    owned = frozenset(owned_assets.ids_of(tx.conn, who.user_id, digests=digests))
    author = user_rows.name_of(tx.conn, publication.owner_id)
    return PublicationView(publication, owned, author)


def _assets(tx: Transaction, who: Principal, asset_ids: Sequence[AssetId]) -> list[PublishedAsset]:
    """The caller's own assets and public ones. Another user's asset is refused as one that does not exist."""
    wanted = list(dict.fromkeys(asset_ids))
    if len(wanted) > MAX_ASSETS:
        raise LimitExceeded(f"{len(wanted)} assets are too many for one publication (at most {MAX_ASSETS})")
    found = {
        asset.asset_id: replace(asset, is_public=owner == PUBLIC_OWNER)
        for owner in (PUBLIC_OWNER, who.user_id)
        for asset in owned_assets.to_publish(tx.conn, owner, asset_ids=wanted, model_tag=MODEL_TAG)
    }
    missing = [asset_id for asset_id in wanted if asset_id not in found]
    if missing:
        raise Invalid(f"there is no asset {missing[0][:64]}")
    return [found[asset_id] for asset_id in wanted]


def _read(tx: Transaction, who: Principal, path: str) -> bytes:
    _stat(tx, who, path)
    return userdata.read(tx, who, path=path)


def _stat(tx: Transaction, who: Principal, path: str) -> None:
    try:
        userdata.stat(tx, who, path=path)
    except InvalidName:
        raise NotFound("File not found") from None
