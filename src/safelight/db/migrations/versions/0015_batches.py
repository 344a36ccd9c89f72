"""Batches and webhooks."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_HAS_BATCH = sa.text("batch_id IS NOT NULL")
_OPEN = sa.text("ended_at IS NULL")
_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("job", sa.Column("batch_id", sa.String(length=36), nullable=True))
    op.add_column("job", sa.Column("batch_index", sa.Integer(), nullable=True))
    op.create_index(
        "ix_job_batch",
        "job",
        ["owner_id", "batch_id", "batch_index"],
        sqlite_where=_HAS_BATCH,
        postgresql_where=_HAS_BATCH,
    )
    op.create_table(
        "batch",
        sa.Column("seq", types.RowId, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("total", "made", "succeeded", "failed", "cancelled")
        ),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("ended_at", types.Moment(), nullable=True),
        sa.Column("labels", types.Json(), nullable=True),
        sa.Column("plan", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_batch_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_batch")),
        sa.UniqueConstraint("id", name=op.f("uq_batch_id")),
    )
    op.create_index(op.f("ix_batch_owner_id_seq"), "batch", ["owner_id", "seq"])
    op.create_index("ix_batch_open", "batch", ["seq"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", types.Json(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_webhook_endpoint_owner_id_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_index(op.f("ix_webhook_endpoint_owner_id"), "webhook_endpoint", ["owner_id"])
    op.create_table(
        "webhook_delivery",
        sa.Column("seq", types.RowId, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("due_at", types.Moment(), nullable=True),
        sa.Column("delivered_at", types.Moment(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_webhook_delivery_owner_id_user")),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoint.id"],
            name=op.f("fk_webhook_delivery_endpoint_id_webhook_endpoint"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("id", name=op.f("uq_webhook_delivery_id")),
    )
    op.create_index(op.f("ix_webhook_delivery_owner_id_seq"), "webhook_delivery", ["owner_id", "seq"])
    op.create_index(op.f("ix_webhook_delivery_endpoint_id"), "webhook_delivery", ["endpoint_id"])
    op.create_index("ix_webhook_delivery_due", "webhook_delivery", ["due_at"], sqlite_where=_DUE, postgresql_where=_DUE)


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook_endpoint")
    op.drop_table("batch")
    op.drop_index("ix_job_batch", "job")
    op.drop_column("job", "batch_index")
    op.drop_column("job", "batch_id")
