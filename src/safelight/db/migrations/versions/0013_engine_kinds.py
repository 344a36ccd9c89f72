"""Engine kinds: which kinds can run a job, the queues by them, and a catalogue of nodes for each kind."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_WAITING = sa.text("queued > 0")


def upgrade() -> None:
    op.add_column("job", sa.Column("engines", sa.String(length=255), nullable=False, server_default="safelight"))
    op.drop_index("ix_job_lane", table_name="job")
    _index("ix_job_lane", "job", ["owner_id", "pool", "engines", "number", "seq"], where=_QUEUED)
    _drop_queues()
    _create_queues(sa.Column("engines", sa.String(length=255), nullable=False))
    _index("ix_lane_waiting", "lane", ["pool", "engines", "queued", "owner_id"], where=_WAITING)
    op.execute(
        "INSERT INTO lane (owner_id, pool, engines, queued) "
        "SELECT owner_id, pool, engines, count(*) FROM job WHERE state = 'queued' GROUP BY owner_id, pool, engines"
    )
    op.create_table(
        "engine_catalogue",
        sa.Column("engine", sa.String(length=64), nullable=False),
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("used_at", types.Moment(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("engine", "digest", name=op.f("pk_engine_catalogue")),
    )
    op.execute(
        "INSERT INTO engine_catalogue (engine, digest, used_at, body) "
        "SELECT 'safelight', digest, used_at, body FROM catalogue"
    )
    op.drop_table("catalogue")


def downgrade() -> None:
    op.create_table(
        "catalogue",
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("used_at", types.Moment(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_catalogue")),
    )
    op.drop_table("engine_catalogue")
    _drop_queues()
    _create_queues()
    _index("ix_lane_waiting", "lane", ["pool", "queued", "owner_id"], where=_WAITING)
    op.execute(
        "INSERT INTO lane (owner_id, pool, queued) "
        "SELECT owner_id, pool, count(*) FROM job WHERE state = 'queued' GROUP BY owner_id, pool"
    )
    op.drop_index("ix_job_lane", table_name="job")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_column("engines")
    _index("ix_job_lane", "job", ["owner_id", "pool", "number", "seq"], where=_QUEUED)


def _drop_queues() -> None:
    op.drop_index("ix_lane_waiting", table_name="lane")
    op.drop_table("lane")


def _create_queues(*more: "sa.Column[str]") -> None:
    op.create_table(
        "lane",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("pool", sa.String(length=64), nullable=False),
        *more,
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_lane_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "pool", *(column.name for column in more), name=op.f("pk_lane")),
        sqlite_with_rowid=False,
    )


def _index(name: str, table: str, columns: list[str], *, where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
