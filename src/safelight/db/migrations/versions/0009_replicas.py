"""Several servers of one database: which of them leads, and previews for those that did not make them."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leader",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=2048), nullable=False),
        sa.Column("since", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leader")),
    )
    op.create_table(
        "preview",
        sa.Column("job_id", sa.String(length=128), nullable=False),
        sa.Column("image", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_preview")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE preview SET UNLOGGED")


def downgrade() -> None:
    op.drop_table("preview")
    op.drop_table("leader")
