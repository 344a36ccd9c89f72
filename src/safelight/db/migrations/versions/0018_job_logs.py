"""Job logs: what nodes printed, kept with the job."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_log",
        sa.Column("job_seq", types.RowId, autoincrement=False, nullable=False),
        sa.Column("is_truncated", sa.Boolean(), nullable=False),
        sa.Column("lines", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_log_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_seq", name=op.f("pk_job_log")),
    )


def downgrade() -> None:
    op.drop_table("job_log")
