"""Which assets a user owns, by digest and by id: for the assets that a graph names, and for those that a reader of a
shared graph already has."""

from collections.abc import Collection, Iterator

from sqlalchemy import Connection, exists, select

from safelight.core.digest import Digest
from safelight.core.ids import AssetId, UserId
from safelight.db.batches import batches
from safelight.db.publication import PublishedAsset
from safelight.db.tables import asset, asset_tag


def ids_of(conn: Connection, owner_id: UserId, *, digests: Collection[Digest]) -> dict[Digest, AssetId]:
    """The owner's oldest listed asset of each digest."""
    query = select(asset.c.digest, asset.c.id).where(asset.c.owner_id == owner_id, asset.c.published)
    found: dict[Digest, AssetId] = {}
    for some in batches(digests):
        for row in conn.execute(query.where(asset.c.digest.in_(some)).order_by(asset.c.seq)):
            found.setdefault(row.digest, AssetId(row.id))
    return found


def owned(conn: Connection, owner_id: UserId, *, asset_ids: Collection[AssetId]) -> set[AssetId]:
    """Those of ``asset_ids`` that are listed assets of the owner."""
    query = select(asset.c.id).where(asset.c.owner_id == owner_id, asset.c.published)
    rows = (conn.execute(query.where(asset.c.id.in_(some))).scalars() for some in batches(asset_ids))
    return {AssetId(asset_id) for found in rows for asset_id in found}


def to_publish(
    conn: Connection, owner_id: UserId, *, asset_ids: Collection[AssetId], model_tag: str
) -> Iterator[PublishedAsset]:
    """Those of ``asset_ids`` that are listed assets of the owner, as a publication keeps them."""
    of_asset = (asset_tag.c.asset_seq == asset.c.seq) & (asset_tag.c.tag == model_tag)
    is_model = exists().where(asset_tag.c.owner_id == owner_id, of_asset)
    columns = (asset.c.id, asset.c.name, asset.c.digest, asset.c.size, asset.c.mime_type, is_model)
    query = select(*columns).where(asset.c.owner_id == owner_id, asset.c.published)
    for some in batches(asset_ids):
        for asset_id, name, digest, size, mime_type, model in conn.execute(query.where(asset.c.id.in_(some))):
            yield PublishedAsset(
                asset_id=AssetId(asset_id),
                name=name,
                digest=digest,
                size=size,
                mime_type=mime_type,
                is_model=bool(model),
                is_public=False,
            )
