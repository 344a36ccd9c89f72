"""Background tasks."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("state IN ('created', 'running')")


def upgrade() -> None:
    op.create_table(
        "task",
        sa.Column("seq", types.RowId, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.Column("started_at", types.Moment(), nullable=True),
        sa.Column("completed_at", types.Moment(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("payload", types.Json(), nullable=False),
        sa.Column("result", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_task_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_task")),
        sa.UniqueConstraint("id", name=op.f("uq_task_id")),
        sa.UniqueConstraint("owner_id", "name", "idempotency_key", name=op.f("uq_task_owner_id_name_idempotency_key")),
    )
    op.create_index(op.f("ix_task_owner_id_seq"), "task", ["owner_id", "seq"])
    op.create_index("ix_task_unfinished", "task", ["seq"], sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)


def downgrade() -> None:
    op.drop_table("task")
