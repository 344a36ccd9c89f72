"""The audit, workflows given to everybody, quotas that renew, and sessions that an identity provider began."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", types.RowId, autoincrement=True, nullable=False),
        sa.Column("at", types.Moment(), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("actor_name", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("details", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
    op.create_index(op.f("ix_audit_actor_id_seq"), "audit", ["actor_id", "seq"])
    op.create_table(
        "given_graph",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("giver_name", sa.String(length=255), nullable=False),
        sa.Column("given_at", types.Moment(), nullable=False),
        sa.Column("content", types.Json(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_given_graph")),
    )
    op.add_column("account", sa.Column("renew_every_s", sa.Integer(), nullable=True))
    op.add_column("account", sa.Column("renewed_at", types.Moment(), nullable=True))
    op.add_column("session", sa.Column("id_token", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("session", "id_token")
    op.drop_column("account", "renewed_at")
    op.drop_column("account", "renew_every_s")
    op.drop_table("given_graph")
    op.drop_table("audit")
