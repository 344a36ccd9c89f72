"""Ids that clients choose are unique for their owner: room for the owner in a job's id, assets by owner and id."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SHORT, _LONG = sa.String(length=128), sa.String(length=200)


def upgrade() -> None:
    with op.batch_alter_table("job") as batch_op:
        batch_op.alter_column("id", existing_type=_SHORT, type_=_LONG, existing_nullable=False)
    with op.batch_alter_table("asset") as batch_op:
        batch_op.alter_column("job_id", existing_type=_SHORT, type_=_LONG, existing_nullable=True)
        batch_op.drop_constraint(op.f("uq_asset_id"), type_="unique")
        batch_op.create_unique_constraint(op.f("uq_asset_owner_id_id"), ["owner_id", "id"])
    with op.batch_alter_table("preview") as batch_op:
        batch_op.alter_column("job_id", existing_type=_SHORT, type_=_LONG, existing_nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("preview") as batch_op:
        batch_op.alter_column("job_id", existing_type=_LONG, type_=_SHORT, existing_nullable=False)
    with op.batch_alter_table("asset") as batch_op:
        batch_op.drop_constraint(op.f("uq_asset_owner_id_id"), type_="unique")
        batch_op.create_unique_constraint(op.f("uq_asset_id"), ["id"])
        batch_op.alter_column("job_id", existing_type=_LONG, type_=_SHORT, existing_nullable=True)
    with op.batch_alter_table("job") as batch_op:
        batch_op.alter_column("id", existing_type=_LONG, type_=_SHORT, existing_nullable=False)
