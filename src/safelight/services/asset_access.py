"""Who may read an asset: its owner; everybody, if it is public (a file of the model folders); and every account that
knows the share id of a publication with it. Handlers that send a file's bytes find it here.

An asset that the caller may not read looks as if it did not exist.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from safelight.core.asset import Asset, FileName, readable_owners
from safelight.core.digest import Digest, Sha256Digest, digest_in_name
from safelight.core.errors import NotFound
from safelight.core.ids import AssetId, ShareId
from safelight.core.user import Principal
from safelight.db import asset as rows
from safelight.db import blob as blobs
from safelight.db import publication as publication_rows
from safelight.db.transaction import Transaction


def by_id(tx: Transaction, who: Principal, *, asset_id: AssetId) -> Asset:
    for owner in readable_owners(who.user_id, include_public=True):
        if found := rows.find(tx.conn, owner, asset_id=asset_id):
            return found[1]
    raise NotFound(f"there is no asset {asset_id}")


def viewable(tx: Transaction, who: Principal, *, asset_id: AssetId, now: datetime) -> Asset:
    """Like :func:`by_id`, and also an output of a job that still runs; not an asset whose time is over."""
    for owner in readable_owners(who.user_id, include_public=True):
        found = rows.find_viewable(tx.conn, owner, asset_id=asset_id)
        if found is not None and not found.has_expired(now):
            return found
    raise NotFound(f"there is no asset {asset_id}")


def by_ids(
    tx: Transaction, who: Principal, *, asset_ids: Collection[AssetId], now: datetime
) -> Mapping[AssetId, Asset]:
    """Those of ``asset_ids`` that :func:`viewable` would return, without their tags."""
    found: dict[AssetId, Asset] = {}
    for owner in reversed(readable_owners(who.user_id, include_public=True)):
        found |= rows.find_all(tx.conn, owner, asset_ids=asset_ids)
    return {asset_id: asset for asset_id, asset in found.items() if not asset.has_expired(now)}


def by_digest(tx: Transaction, who: Principal, *, digest: Digest | Sha256Digest, is_sha256: bool) -> Asset:
    """An asset of the caller, or a public one, with these bytes. Other owners' bytes answer as unknown bytes do."""
    blake3 = blobs.of_sha256(tx.conn, Sha256Digest(digest)) if is_sha256 else Digest(digest)
    for owner in readable_owners(who.user_id, include_public=True) if blake3 else ():
        assert blake3 is not None
        if found := rows.find_of_digest(tx.conn, owner, digest=blake3):
            return found[1]
    raise NotFound("there is no asset with this hash")


def by_file_name(tx: Transaction, who: Principal, *, file: FileName) -> Asset:
    """A file of the caller by ComfyUI's name for it, or by a name such as ``<blake3>.png``. Each user
    has names of their own."""
    found = rows.find_named(tx.conn, who.user_id, file=file)
    if found is None and (digest := digest_in_name(file.filename)) is not None:
        of_digest = rows.find_of_digest(tx.conn, who.user_id, digest=digest)
        found = of_digest[1] if of_digest else None
    if found is None:
        raise NotFound(f"there is no file {file}")
    return found


def by_share(tx: Transaction, who: Principal, *, share_id: ShareId, asset_id: AssetId) -> Asset:
    """A published asset as it was when it was published; its reader does not own it."""
    publication = publication_rows.shared(tx.conn, share_id=share_id)
    if publication is None:
        raise NotFound(f"there is no share {share_id}")
    for asset in publication.assets:
        if asset.asset_id == asset_id:
            return Asset(
                id=asset.asset_id,
                owner_id=publication.owner_id,
                name=asset.name,
                digest=asset.digest,
                size=asset.size,
                mime_type=asset.mime_type,
                created_at=publication.published_at,
                updated_at=publication.published_at,
            )
    raise NotFound(f"there is no asset {asset_id} in the share {share_id}")
