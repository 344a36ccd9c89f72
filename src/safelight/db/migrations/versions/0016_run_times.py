"""Run times of calls and graphs, from which new jobs are estimated."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_time",
        sa.Column("seq", types.RowId, autoincrement=True, nullable=False),
        sa.Column("device", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_run_time")),
    )
    op.create_index(op.f("ix_run_time_device_key_seq"), "run_time", ["device", "key", "seq"])


def downgrade() -> None:
    op.drop_table("run_time")
