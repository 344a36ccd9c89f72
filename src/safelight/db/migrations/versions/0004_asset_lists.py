"""What lists of assets read: an index for each order, numbers of tags, fields of metadata, names by their trigrams."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types
from safelight.db.asset_index import Entry, add
from safelight.db.tables import NAME_SEARCH

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_PUBLISHED = sa.text("published")
_ORDERS = ("name", "updated_at", "size", "last_access_at")
_NEW = ("search_name", "last_access_at", "preview_id", "loader_path", "source_metadata")


def upgrade() -> None:
    op.create_table(
        "asset_count",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "tag", name=op.f("pk_asset_count")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "asset_field",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("asset_seq", types.RowId, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_seq"], ["asset.seq"], name=op.f("fk_asset_field_asset_seq_asset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "field", "asset_seq", name=op.f("pk_asset_field")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_asset_field_asset_seq"), "asset_field", ["asset_seq"])
    op.add_column("blob", sa.Column("sha256", types.Sha256(length=32), nullable=True))
    has_one = sa.text("sha256 IS NOT NULL")
    op.create_index("ix_blob_sha256", "blob", ["sha256"], sqlite_where=has_one, postgresql_where=has_one)
    op.add_column("asset", sa.Column("search_name", sa.Text(), nullable=True))
    op.add_column("asset", sa.Column("last_access_at", types.Moment(), nullable=True))
    op.add_column("asset", sa.Column("preview_id", sa.String(length=36), nullable=True))
    op.add_column("asset", sa.Column("loader_path", sa.Text(), nullable=True))
    op.add_column("asset", sa.Column("source_metadata", types.Json(), nullable=True))
    op.create_index(op.f("ix_asset_owner_id_digest"), "asset", ["owner_id", "digest"])
    _create_order("creation", ["owner_id", "seq"])
    for key in _ORDERS:
        _create_order(key, ["owner_id", key, "seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(NAME_SEARCH)
    _fill(op.get_bind())


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE asset_name")
    for key in ("creation", *_ORDERS):
        op.drop_index(f"ix_asset_by_{key}", "asset")
    op.drop_index(op.f("ix_asset_owner_id_digest"), "asset")
    for column in _NEW:
        op.drop_column("asset", column)
    op.drop_index("ix_blob_sha256", "blob")
    op.drop_column("blob", "sha256")
    op.drop_table("asset_field")
    op.drop_table("asset_count")


def _create_order(key: str, columns: list[str]) -> None:
    name = f"ix_asset_by_{key}"
    op.create_index(name, "asset", columns, sqlite_where=_PUBLISHED, postgresql_where=_PUBLISHED)


def _fill(conn: sa.Connection) -> None:
    """Index the assets that are listed already. The others are indexed when they are published."""
    conn.execute(sa.text("DELETE FROM asset_tag WHERE asset_seq IN (SELECT seq FROM asset WHERE NOT published)"))
    tags: dict[int, list[str]] = {}
    for seq, tag in conn.execute(sa.text("SELECT asset_seq, tag FROM asset_tag")).all():
        tags.setdefault(seq, []).append(tag)
    conn.execute(sa.text("DELETE FROM asset_tag"))
    update = sa.text("UPDATE asset SET search_name = :folded, last_access_at = created_at WHERE seq = :seq")
    for row in conn.execute(sa.text("SELECT seq, owner_id, name, published FROM asset ORDER BY seq")).all():
        conn.execute(update, {"folded": row.name.casefold(), "seq": row.seq})
        if row.published:
            add(conn, row.owner_id, entries=[Entry(row.seq, row.name, tags.get(row.seq, []), {})])
