"""Labels of jobs, idempotency keys of submissions, assets that jobs hold, and assets that expire."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("job", sa.Column("labels", types.Json(), nullable=True))
    op.add_column("job", sa.Column("node_count", sa.Integer(), nullable=True))
    op.add_column("asset", sa.Column("expires_at", types.Moment(), nullable=True))
    op.create_index("ix_asset_expires_at", "asset", ["expires_at"], sqlite_where=_EXPIRES, postgresql_where=_EXPIRES)
    op.create_table(
        "job_label",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("job_seq", types.RowId, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_label_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner_id", "key", "value", "job_seq", name=op.f("pk_job_label")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_job_label_job_seq"), "job_label", ["job_seq"])
    op.create_table(
        "job_asset",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("job_seq", types.RowId, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_asset_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner_id", "asset_id", "job_seq", name=op.f("pk_job_asset")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_job_asset_job_seq"), "job_asset", ["job_seq"])
    op.create_table(
        "idempotency_key",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("claimed_at", types.Moment(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_idempotency_key_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_idempotency_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_idempotency_key_claimed_at"), "idempotency_key", ["claimed_at"])


def downgrade() -> None:
    op.drop_table("idempotency_key")
    op.drop_table("job_asset")
    op.drop_table("job_label")
    op.drop_index("ix_asset_expires_at", "asset")
    op.drop_column("asset", "expires_at")
    op.drop_column("job", "node_count")
    op.drop_column("job", "labels")
