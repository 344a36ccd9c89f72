"""Saved workflows, what was published of them, and feedback."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("metadata", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_feedback_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_feedback")),
    )
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feedback_owner_id_created_at"), ["owner_id", "created_at"], unique=False)

    op.create_table(
        "workflow",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("name_folded", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("default_view", sa.String(length=16), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.Column("deleted_at", types.Moment(), nullable=True),
        sa.Column("forked_from", sa.Text(), nullable=True),
        sa.Column("forked_from_version", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_workflow_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_workflow")),
        sa.UniqueConstraint("id", name=op.f("uq_workflow_id")),
    )
    with op.batch_alter_table("workflow", schema=None) as batch_op:
        batch_op.create_index(
            "ix_workflow_created",
            ["owner_id", "seq"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.create_index(
            "ix_workflow_name",
            ["owner_id", "name_folded", "seq"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.create_index(
            "ix_workflow_path",
            ["owner_id", "path"],
            unique=False,
            sqlite_where=sa.text("path IS NOT NULL"),
            postgresql_where=sa.text("path IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_workflow_updated",
            ["owner_id", "updated_at", "seq"],
            unique=False,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "publication",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("share_id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("workflow_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("published_at", types.Moment(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_publication_owner_id_user")),
        sa.ForeignKeyConstraint(
            ["workflow_seq"], ["workflow.seq"], name=op.f("fk_publication_workflow_seq_workflow"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_publication")),
        sa.UniqueConstraint("share_id", name=op.f("uq_publication_share_id")),
    )
    with op.batch_alter_table("publication", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_publication_workflow_seq_seq"), ["workflow_seq", "seq"], unique=False)

    op.create_table(
        "workflow_asset",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column(
            "workflow_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["workflow_seq"], ["workflow.seq"], name=op.f("fk_workflow_asset_workflow_seq_workflow"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "asset_id", "workflow_seq", "version", name=op.f("pk_workflow_asset")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("workflow_asset", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_workflow_asset_workflow_seq_version"), ["workflow_seq", "version"], unique=False
        )

    op.create_table(
        "workflow_version",
        sa.Column(
            "workflow_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("content", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workflow_seq"],
            ["workflow.seq"],
            name=op.f("fk_workflow_version_workflow_seq_workflow"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workflow_seq", "version", name=op.f("pk_workflow_version")),
        sa.UniqueConstraint("id", name=op.f("uq_workflow_version_id")),
    )
    op.create_table(
        "publication_asset",
        sa.Column(
            "publication_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime_type", sa.String(length=255), nullable=False),
        sa.Column("is_model", sa.Boolean(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_seq"],
            ["publication.seq"],
            name=op.f("fk_publication_asset_publication_seq_publication"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("publication_seq", "position", name=op.f("pk_publication_asset")),
    )
    with op.batch_alter_table("publication_asset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_publication_asset_digest"), ["digest"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("publication_asset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_publication_asset_digest"))

    op.drop_table("publication_asset")
    op.drop_table("workflow_version")
    with op.batch_alter_table("workflow_asset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_workflow_asset_workflow_seq_version"))

    op.drop_table("workflow_asset")
    with op.batch_alter_table("publication", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_publication_workflow_seq_seq"))

    op.drop_table("publication")
    with op.batch_alter_table("workflow", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_workflow_updated",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_workflow_path", sqlite_where=sa.text("path IS NOT NULL"), postgresql_where=sa.text("path IS NOT NULL")
        )
        batch_op.drop_index(
            "ix_workflow_name",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_workflow_created",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.drop_table("workflow")
    with op.batch_alter_table("feedback", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_feedback_owner_id_created_at"))

    op.drop_table("feedback")
