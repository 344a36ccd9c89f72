"""Every table. Rows of users have an owner, which comes first in the keys by which lists are read.

``seq`` numbers increase with time, so that "newest first" is the order of a key and never a sort. Lists read narrow
rows: graphs, outputs and the bytes of files are in their own tables, or in the last column. Times are milliseconds
(``Moment``).
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    literal_column,
)

from safelight.db import job_columns
from safelight.db.types import Blake3, Json, Moment, RowId, Sha256

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """A partial index: of the rows for which ``where`` holds."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


user = Table(
    "user",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("is_admin", Boolean, nullable=False),
    Column("job_counter", Integer, nullable=False),  # the next job's number, per user: it reveals nothing about others
    Column("created_at", Moment, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    *(job_column.column for job_column in job_columns.COLUMNS),
    Column("duration_ms", Integer, nullable=False),  # from claim to end; 0 until the job has ended
    Column("device_s", Float, nullable=False),
)
# Lists by state, in the order of creation; all jobs of an owner; jobs by duration.
Index(None, job.c.owner_id, job.c.state, job.c.seq)
Index(None, job.c.owner_id, job.c.seq)
Index(None, job.c.owner_id, job.c.duration_ms, job.c.seq)
_partial("ix_job_workflow", job.c.owner_id, job.c.workflow_id, job.c.seq, where=job.c.workflow_id.is_not(None))
_partial("ix_job_batch", job.c.owner_id, job.c.batch_id, job.c.batch_index, where=job.c.batch_id.is_not(None))
# The history, in the order in which jobs ended.
_partial("ix_job_ended", job.c.owner_id, job.c.ended_at, job.c.seq, where=job.c.ended_at.is_not(None))
# The queued jobs of each owner, in the order in which they run; the running jobs, which a restart must recover.
IS_QUEUED = job.c.state == literal_column("'queued'")
IS_RUNNING = job.c.state == literal_column("'running'")
# Cancelled while running: the only cancelled jobs that the history shows.
IS_INTERRUPTED = (job.c.state == literal_column("'cancelled'")) & job.c.started_at.is_not(None)
_partial("ix_job_interrupted", job.c.owner_id, job.c.seq, where=IS_INTERRUPTED)
_partial("ix_job_queued", job.c.owner_id, job.c.number, job.c.seq, where=IS_QUEUED)
_partial("ix_job_lane", job.c.owner_id, job.c.pool, job.c.engines, job.c.number, job.c.seq, where=IS_QUEUED)
_partial("ix_job_running", job.c.seq, where=IS_RUNNING)
# The jobs of all users by their end, for a server that may have missed events.
_partial("ix_job_ended_at", job.c.ended_at, job.c.seq, where=job.c.ended_at.is_not(None))

# The number of queued jobs by owner and requirements (``core/pool.py``: QueueKey); a queue that had jobs keeps its row.
queue_depth = Table(
    "lane",
    metadata,
    Column("owner_id", String(64), ForeignKey("user.id"), primary_key=True),
    Column("pool", String(64), primary_key=True),
    Column("engines", String(255), primary_key=True),
    Column("queued", Integer, nullable=False),
    sqlite_with_rowid=False,
)
IS_WAITING: ColumnElement[bool] = literal_column("queued > 0")
_partial(
    "ix_lane_waiting",
    queue_depth.c.pool,
    queue_depth.c.engines,
    queue_depth.c.queued,
    queue_depth.c.owner_id,
    where=IS_WAITING,
)

job_payload = Table(
    "job_payload",
    metadata,
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("targets", Json, nullable=False),
    Column("extra_data", Json, nullable=False),
    Column("prompt", Json, nullable=False),
)

job_output = Table(
    "job_output",
    metadata,
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("call", Json, nullable=False),  # [id, display_id, parent_id, real_id]
    Column("ui", Json),
)

job_timeline = Table(
    "job_timeline",
    metadata,
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("messages", Json, nullable=False),
)

job_log = Table(
    "job_log",
    metadata,
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("is_truncated", Boolean, nullable=False),
    Column("lines", Json, nullable=False),  # [time in ms, text]
)

job_media = Table(
    "job_media",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),  # image | video | audio | 3d
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, job_media.c.job_seq)

blob = Table(
    "blob",
    metadata,
    Column("digest", Blake3, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("sha256", Sha256),
    sqlite_with_rowid=False,
)
_partial("ix_blob_sha256", blob.c.sha256, where=blob.c.sha256.is_not(None))

asset = Table(
    "asset",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Blake3, ForeignKey("blob.digest"), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mime_type", String(255), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("published", Boolean, nullable=False),  # an output is listed once its job finishes
    # Where ComfyUI's clients find it: all three or none. ``series`` and ``number`` of ``<series>_00001_.png``.
    Column("folder", String(16)),
    Column("subfolder", Text),
    Column("filename", Text),
    Column("series", Text),
    Column("number", Integer),
    # The attempt that made it. No foreign key: an output outlives the row of its job.
    Column("job_id", String(200)),
    Column("attempt", Integer),
    Column("user_metadata", Json),
    Column("search_name", Text),  # the name, case-folded, in which ``name_contains`` searches
    Column("last_access_at", Moment),
    Column("preview_id", String(36)),
    Column("loader_path", Text),  # a model's name in the lists of loader nodes
    Column("source_metadata", Json),  # what the site of its download reports about it
    Column("expires_at", Moment),  # when the server deletes it; NULL: never
    UniqueConstraint("owner_id", "id"),
    UniqueConstraint("owner_id", "folder", "subfolder", "filename"),
)
Index(None, asset.c.owner_id, asset.c.folder, asset.c.seq)
Index(None, asset.c.owner_id, asset.c.digest)
# One index for each order of the list, of listed assets only.
# A literal, so that it is written exactly like this: SQLite uses no index ``WHERE published`` for ``published = 1``.
IS_PUBLISHED: ColumnElement[bool] = literal_column("published")
_partial("ix_asset_by_creation", asset.c.owner_id, asset.c.seq, where=IS_PUBLISHED)
for _key in (asset.c.name, asset.c.updated_at, asset.c.size, asset.c.last_access_at):
    _partial(f"ix_asset_by_{_key.name}", asset.c.owner_id, _key, asset.c.seq, where=IS_PUBLISHED)
Index(None, asset.c.digest)
_SERIES = (asset.c.owner_id, asset.c.folder, asset.c.subfolder, asset.c.series, asset.c.number)
_partial("ix_asset_series", *_SERIES, where=asset.c.series.is_not(None))
_partial("ix_asset_job", asset.c.job_id, asset.c.attempt, where=asset.c.job_id.is_not(None))
IS_UNPUBLISHED: ColumnElement[bool] = literal_column("NOT published")
_partial("ix_asset_unpublished", asset.c.seq, where=IS_UNPUBLISHED)
_partial("ix_asset_expires_at", asset.c.expires_at, where=asset.c.expires_at.is_not(None))

asset_tag = Table(
    "asset_tag",
    metadata,
    # The owner comes first: a tag that is common among other users must cost an owner without it nothing.
    Column("owner_id", String(64), primary_key=True),
    Column("tag", String(255), primary_key=True),
    Column("asset_seq", RowId, ForeignKey("asset.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, asset_tag.c.asset_seq)

# Index words of ``user_metadata`` (``core/metadata_field.py``), which a filter reads like tags.
asset_field = Table(
    "asset_field",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("field", Text, primary_key=True),
    Column("asset_seq", RowId, ForeignKey("asset.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, asset_field.c.asset_seq)

asset_count = Table(
    "asset_count",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("tag", String(255), primary_key=True),  # ``""``: all assets of the owner
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

scanned_file = Table(
    "scanned_file",
    metadata,
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("asset_id", String(36), nullable=False),
)

task = Table(
    "task",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("idempotency_key", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("payload", Json, nullable=False),
    Column("result", Json, nullable=False),
    UniqueConstraint("owner_id", "name", "idempotency_key"),
)
Index(None, task.c.owner_id, task.c.seq)
IS_UNFINISHED: ColumnElement[bool] = literal_column("state IN ('created', 'running')")
_partial("ix_task_unfinished", task.c.seq, where=IS_UNFINISHED)

# Labels of jobs, by which their owner finds them.
job_label = Table(
    "job_label",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("value", Text, primary_key=True),
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, job_label.c.job_seq)

# The assets that a job's client named by id: while the job waits or runs, they are not deleted.
job_asset = Table(
    "job_asset",
    metadata,
    Column("owner_id", String(64), primary_key=True),
    Column("asset_id", String(36), primary_key=True),
    Column("job_seq", RowId, ForeignKey("job.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, job_asset.c.job_seq)

# Idempotency keys of submissions, each claimed in the transaction of its job; forgotten after a day.
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("owner_id", String(64), ForeignKey("user.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("claimed_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)
Index(None, idempotency_key.c.claimed_at)

# A batch makes its jobs piece by piece of its plan: the graph, the inputs that differ, and their values.
batch = Table(
    "batch",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("total", Integer, nullable=False),
    Column("made", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("ended_at", Moment),
    Column("labels", Json),
    Column("plan", Json, nullable=False),
)
Index(None, batch.c.owner_id, batch.c.seq)
IS_BATCH_OPEN = batch.c.ended_at.is_(None)
_partial("ix_batch_open", batch.c.seq, where=IS_BATCH_OPEN)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("secret", Text, nullable=False),  # in plain: the server signs with it
)
Index(None, webhook_endpoint.c.owner_id)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("endpoint_id", String(36), ForeignKey("webhook_endpoint.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment),  # of the next attempt; NULL after the last one
    Column("delivered_at", Moment),
    Column("error", Text),
)
Index(None, webhook_delivery.c.owner_id, webhook_delivery.c.seq)
Index(None, webhook_delivery.c.endpoint_id)
_partial("ix_webhook_delivery_due", webhook_delivery.c.due_at, where=webhook_delivery.c.due_at.is_not(None))

# How long calls and graphs took, by the kind of device and by what they cost (``graph/cost_key.py``).
run_time = Table(
    "run_time",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("device", String(255), nullable=False),
    Column("key", String(80), nullable=False),
    Column("seconds", Float, nullable=False),
)
Index(None, run_time.c.device, run_time.c.key, run_time.c.seq)

# Names by their trigrams; the row id is the asset's ``seq``. On PostgreSQL, an index on the column itself.
NAME_SEARCH = (
    "CREATE VIRTUAL TABLE asset_name USING fts5(owner_key, name, tokenize='trigram case_sensitive 1', "
    "content='', contentless_delete=1)"
)


POSTGRES_NAME_SEARCH = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE EXTENSION IF NOT EXISTS btree_gin",
    "CREATE INDEX ix_asset_search_name ON asset USING gin (owner_id, search_name gin_trgm_ops) WHERE published",
)
"""Both extensions come with PostgreSQL, and the owner of a database may create them."""


def _create_name_search(target: MetaData, connection: Connection, **options: Any) -> None:
    for statement in (NAME_SEARCH,) if connection.dialect.name == "sqlite" else POSTGRES_NAME_SEARCH:
        connection.exec_driver_sql(statement)


event.listen(metadata, "after_create", _create_name_search)

userdata = Table(
    "userdata",
    metadata,
    Column("owner_id", String(64), ForeignKey("user.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("modified_at", Moment, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

setting = Table(
    "setting",
    metadata,
    Column("owner_id", String(64), ForeignKey("user.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),  # JSON as it came, so that null is a value
)

catalogue = Table(
    "engine_catalogue",
    metadata,
    Column("engine", String(64), primary_key=True),
    Column("digest", Blake3, primary_key=True),
    Column("used_at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

workflow = Table(
    "workflow",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("name", Text),
    Column("name_folded", Text, nullable=False),  # for search and order that ignore case
    Column("description", Text),
    Column("default_view", String(16), nullable=False),
    Column("latest_version", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    # Where it was forked from, as known then. No foreign keys: the record outlives its source.
    Column("forked_from", Text),
    Column("forked_from_version", Text),
    # The userdata file that it was published from. Later publications of that file become later versions.
    Column("path", Text),
)
IS_KEPT = workflow.c.deleted_at.is_(None)
_partial("ix_workflow_created", workflow.c.owner_id, workflow.c.seq, where=IS_KEPT)
_partial("ix_workflow_updated", workflow.c.owner_id, workflow.c.updated_at, workflow.c.seq, where=IS_KEPT)
_partial("ix_workflow_name", workflow.c.owner_id, workflow.c.name_folded, workflow.c.seq, where=IS_KEPT)
_partial("ix_workflow_path", workflow.c.owner_id, workflow.c.path, where=workflow.c.path.is_not(None))

workflow_version = Table(
    "workflow_version",
    metadata,
    Column(
        "workflow_seq", RowId, ForeignKey("workflow.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("content", Json, nullable=False),
)

workflow_asset = Table(
    "workflow_asset",
    metadata,
    # The assets that a version's graph names, by id, so that "is this asset in use?" is a quick query.
    Column("owner_id", String(64), primary_key=True),
    Column("asset_id", String(36), primary_key=True),
    Column(
        "workflow_seq", RowId, ForeignKey("workflow.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("version", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index(None, workflow_asset.c.workflow_seq, workflow_asset.c.version)

publication = Table(
    "publication",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("share_id", String(64), nullable=False, unique=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("workflow_seq", RowId, ForeignKey("workflow.seq", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("published_at", Moment, nullable=False),
    Column("size", BigInteger, nullable=False),  # of the content as JSON
    Column("content", Json, nullable=False),
)
Index(None, publication.c.workflow_seq, publication.c.seq)

publication_asset = Table(
    "publication_asset",
    metadata,
    Column(
        "publication_seq",
        RowId,
        ForeignKey("publication.seq", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("asset_id", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Blake3, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mime_type", String(255), nullable=False),
    Column("is_model", Boolean, nullable=False),
    Column("is_public", Boolean, nullable=False),
)
Index(None, publication_asset.c.digest)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("type", String(32), nullable=False),
    Column("rating", Integer),
    Column("content", Text),
    Column("metadata", Json),
)
Index(None, feedback.c.owner_id, feedback.c.created_at)

# Users who sign in. Once there is one, the server requires credentials.
account = Table(
    "account",
    metadata,
    Column("user_id", String(64), ForeignKey("user.id"), primary_key=True),
    Column("is_disabled", Boolean, nullable=False),
    Column("password_hash", Text),  # argon2id
    Column("issuer", Text),  # with subject: the identity whose tokens sign in this user
    Column("subject", Text),
    # Quotas of the user; NULL: no limit.
    Column("stored_bytes", BigInteger),
    Column("queued_jobs", Integer),
    Column("running_jobs", Integer),
    Column("device_s", Float),
    Column("run_limit_s", Float),  # NULL: the limit of the server's settings
    Column("used_device_s", Float, nullable=False),
    Column("weight", Float, nullable=False, server_default="1"),
    Column("renew_every_s", Integer),  # used_device_s is reset that often; NULL: never
    Column("renewed_at", Moment),
    UniqueConstraint("issuer", "subject"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    Column("label", String(255), nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index(None, api_key.c.owner_id)

session = Table(
    "session",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("id_token", Text),  # of the identity provider that the user signed in with, to sign out there
)
Index(None, session.c.owner_id)
Index(None, session.c.expires_at)

# What administrators did, and who signed in. Without foreign keys: entries outlive the users in them.
audit = Table(
    "audit",
    metadata,
    Column("seq", RowId, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("actor_id", String(64), nullable=False),
    Column("actor_name", String(255), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("details", Json, nullable=False),
)
Index(None, audit.c.at)
Index(None, audit.c.actor_id, audit.c.seq)

# Workflows that an administrator has given to everybody.
given_graph = Table(
    "given_graph",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("giver_name", String(255), nullable=False),
    Column("given_at", Moment, nullable=False),
    Column("content", Json, nullable=False),
)

# Links with which users choose a password.
invitation = Table(
    "invitation",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("owner_id", String(64), ForeignKey("user.id"), nullable=False),
    Column("expires_at", Moment, nullable=False),
)
Index(None, invitation.c.owner_id)

setup_link = Table(
    "setup_link",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("created_at", Moment, nullable=False),
)

# One row: the accounts revision, incremented on every change of users, keys or roles. It shows a server that a command
# has changed them.
access = Table(
    "access",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)

# What an administrator paused or drained: the queue ("") and slots. Those without a row are open.
gate = Table(
    "gate",
    metadata,
    Column("subject", String(128), primary_key=True),
    Column("mode", String(16), nullable=False),
)

# One row: the leading server. Each change of the leader starts an epoch; writes of an older epoch are refused.
leader = Table(
    "leader",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("address", String(2048), nullable=False),  # where other servers reach it; "": it has stopped
    Column("since", Moment, nullable=False),
)

# The latest preview of each running job, for the servers that did not receive it. A crash may lose all of them.
preview = Table(
    "preview",
    metadata,
    Column("job_id", String(200), primary_key=True),
    Column("image", LargeBinary, nullable=False),
)


@event.listens_for(preview, "after_create")
def _make_unlogged(target: Table, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE preview SET UNLOGGED")


def _compare_bytewise() -> None:
    """Make PostgreSQL's types behave like SQLite's: text has no maximum length and is ordered by its bytes in any
    locale; integers have 64 bits."""
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, String):
                column.type = column.type.with_variant(Text(collation="C"), "postgresql")
            elif type(column.type) is Integer:
                column.type = column.type.with_variant(BigInteger(), "postgresql")


_compare_bytewise()
