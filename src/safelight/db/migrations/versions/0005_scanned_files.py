"""Which files of the server's own folders are registered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scanned_file",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_scanned_file")),
    )


def downgrade() -> None:
    op.drop_table("scanned_file")
