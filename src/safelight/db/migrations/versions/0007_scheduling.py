"""Pools and models of jobs, weights of users, gates of the queue and of slots."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("job", sa.Column("pool", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("job", sa.Column("models", types.Json(), nullable=True))
    op.create_index(
        "ix_job_lane",
        "job",
        ["owner_id", "pool", "number", "seq"],
        sqlite_where=_QUEUED,
        postgresql_where=_QUEUED,
    )
    op.add_column("account", sa.Column("weight", sa.Float(), nullable=False, server_default="1"))
    op.create_table(
        "gate",
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_gate")),
    )


def downgrade() -> None:
    op.drop_table("gate")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_column("weight")
    op.drop_index("ix_job_lane", table_name="job")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_column("models")
        batch_op.drop_column("pool")
