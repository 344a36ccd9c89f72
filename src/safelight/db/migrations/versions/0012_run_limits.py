"""Run limits of users; how many jobs wait, kept as numbers; the ends of all users' jobs, found by time."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("account", sa.Column("run_limit_s", sa.Float(), nullable=True))
    op.create_index(
        "ix_job_ended_at",
        "job",
        ["ended_at", "seq"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_table(
        "lane",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("pool", sa.String(length=64), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_lane_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "pool", name=op.f("pk_lane")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_lane_waiting",
        "lane",
        ["pool", "queued", "owner_id"],
        sqlite_where=sa.text("queued > 0"),
        postgresql_where=sa.text("queued > 0"),
    )
    op.execute(
        "INSERT INTO lane (owner_id, pool, queued) "
        "SELECT owner_id, pool, count(*) FROM job WHERE state = 'queued' GROUP BY owner_id, pool"
    )


def downgrade() -> None:
    op.drop_index("ix_lane_waiting", table_name="lane")
    op.drop_table("lane")
    op.drop_index("ix_job_ended_at", table_name="job")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_column("run_limit_s")
