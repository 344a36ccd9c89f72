"""An index of jobs that were cancelled while they ran: lists of what has ended show no others that were cancelled."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INTERRUPTED = sa.text("state = 'cancelled' AND started_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_job_interrupted",
        "job",
        ["owner_id", "seq"],
        sqlite_where=_INTERRUPTED,
        postgresql_where=_INTERRUPTED,
    )


def downgrade() -> None:
    op.drop_index("ix_job_interrupted", "job")
