"""The first schema."""

import sqlalchemy as sa
from alembic import op

from safelight.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blob",
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blob")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "catalogue",
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("used_at", types.Moment(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_catalogue")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("job_counter", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("name", name=op.f("uq_user_name")),
    )
    op.create_table(
        "asset",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", types.Blake3(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime_type", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("folder", sa.String(length=16), nullable=True),
        sa.Column("subfolder", sa.Text(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("series", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.String(length=128), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("user_metadata", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["digest"], ["blob.digest"], name=op.f("fk_asset_digest_blob")),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_asset_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_asset")),
        sa.UniqueConstraint("id", name=op.f("uq_asset_id")),
        sa.UniqueConstraint(
            "owner_id", "folder", "subfolder", "filename", name=op.f("uq_asset_owner_id_folder_subfolder_filename")
        ),
    )
    with op.batch_alter_table("asset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_asset_digest"), ["digest"], unique=False)
        batch_op.create_index(
            "ix_asset_job",
            ["job_id", "attempt"],
            unique=False,
            sqlite_where=sa.text("job_id IS NOT NULL"),
            postgresql_where=sa.text("job_id IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_asset_owner_id_folder_seq"), ["owner_id", "folder", "seq"], unique=False)
        batch_op.create_index(
            "ix_asset_series",
            ["owner_id", "folder", "subfolder", "series", "number"],
            unique=False,
            sqlite_where=sa.text("series IS NOT NULL"),
            postgresql_where=sa.text("series IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_asset_unpublished",
            ["seq"],
            unique=False,
            sqlite_where=sa.text("NOT published"),
            postgresql_where=sa.text("NOT published"),
        )

    op.create_table(
        "job",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("number", sa.Float(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("updated_at", types.Moment(), nullable=False),
        sa.Column("started_at", types.Moment(), nullable=True),
        sa.Column("ended_at", types.Moment(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("device_s", sa.Float(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("outputs_count", sa.Integer(), nullable=False),
        sa.Column("preview_output", types.Json(), nullable=True),
        sa.Column("error", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_job_owner_id_user")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_job")),
        sa.UniqueConstraint("id", name=op.f("uq_job_id")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_ended",
            ["owner_id", "ended_at", "seq"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NOT NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_job_owner_id_duration_ms_seq"), ["owner_id", "duration_ms", "seq"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_job_owner_id_seq"), ["owner_id", "seq"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_owner_id_state_seq"), ["owner_id", "state", "seq"], unique=False)
        batch_op.create_index(
            "ix_job_queued",
            ["owner_id", "number", "seq"],
            unique=False,
            sqlite_where=sa.text("state = 'queued'"),
            postgresql_where=sa.text("state = 'queued'"),
        )
        batch_op.create_index(
            "ix_job_running",
            ["seq"],
            unique=False,
            sqlite_where=sa.text("state = 'running'"),
            postgresql_where=sa.text("state = 'running'"),
        )
        batch_op.create_index(
            "ix_job_workflow",
            ["owner_id", "workflow_id", "seq"],
            unique=False,
            sqlite_where=sa.text("workflow_id IS NOT NULL"),
            postgresql_where=sa.text("workflow_id IS NOT NULL"),
        )

    op.create_table(
        "setting",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_setting_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_setting")),
    )
    op.create_table(
        "userdata",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment(), nullable=False),
        sa.Column("modified_at", types.Moment(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_userdata_owner_id_user")),
        sa.PrimaryKeyConstraint("owner_id", "path", name=op.f("pk_userdata")),
    )
    op.create_table(
        "asset_tag",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.Column(
            "asset_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["asset_seq"], ["asset.seq"], name=op.f("fk_asset_tag_asset_seq_asset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "tag", "asset_seq", name=op.f("pk_asset_tag")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("asset_tag", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_asset_tag_asset_seq"), ["asset_seq"], unique=False)

    op.create_table(
        "job_media",
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_media_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner_id", "kind", "job_seq", name=op.f("pk_job_media")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("job_media", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_media_job_seq"), ["job_seq"], unique=False)

    op.create_table(
        "job_output",
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("call", types.Json(), nullable=False),
        sa.Column("ui", types.Json(), nullable=True),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_output_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_seq", "attempt", "position", name=op.f("pk_job_output")),
    )
    op.create_table(
        "job_payload",
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("targets", types.Json(), nullable=False),
        sa.Column("extra_data", types.Json(), nullable=False),
        sa.Column("prompt", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_payload_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_seq", name=op.f("pk_job_payload")),
    )
    op.create_table(
        "job_timeline",
        sa.Column("job_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("messages", types.Json(), nullable=False),
        sa.ForeignKeyConstraint(["job_seq"], ["job.seq"], name=op.f("fk_job_timeline_job_seq_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_seq", name=op.f("pk_job_timeline")),
    )


def downgrade() -> None:
    op.drop_table("job_timeline")
    op.drop_table("job_payload")
    op.drop_table("job_output")
    with op.batch_alter_table("job_media", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_media_job_seq"))

    op.drop_table("job_media")
    with op.batch_alter_table("asset_tag", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_asset_tag_asset_seq"))

    op.drop_table("asset_tag")
    op.drop_table("userdata")
    op.drop_table("setting")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_job_workflow",
            sqlite_where=sa.text("workflow_id IS NOT NULL"),
            postgresql_where=sa.text("workflow_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_job_running", sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'")
        )
        batch_op.drop_index(
            "ix_job_queued", sqlite_where=sa.text("state = 'queued'"), postgresql_where=sa.text("state = 'queued'")
        )
        batch_op.drop_index(batch_op.f("ix_job_owner_id_state_seq"))
        batch_op.drop_index(batch_op.f("ix_job_owner_id_seq"))
        batch_op.drop_index(batch_op.f("ix_job_owner_id_duration_ms_seq"))
        batch_op.drop_index(
            "ix_job_ended",
            sqlite_where=sa.text("ended_at IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NOT NULL"),
        )

    op.drop_table("job")
    with op.batch_alter_table("asset", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_asset_unpublished", sqlite_where=sa.text("NOT published"), postgresql_where=sa.text("NOT published")
        )
        batch_op.drop_index(
            "ix_asset_series",
            sqlite_where=sa.text("series IS NOT NULL"),
            postgresql_where=sa.text("series IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_asset_owner_id_folder_seq"))
        batch_op.drop_index(
            "ix_asset_job", sqlite_where=sa.text("job_id IS NOT NULL"), postgresql_where=sa.text("job_id IS NOT NULL")
        )
        batch_op.drop_index(batch_op.f("ix_asset_digest"))

    op.drop_table("asset")
    op.drop_table("user")
    op.drop_table("catalogue")
    op.drop_table("blob")
