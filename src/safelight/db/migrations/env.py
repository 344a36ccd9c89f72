"""The environment that Alembic runs: the revisions, on the caller's connection and in the caller's transaction."""

from alembic import context

from safelight.db import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    # Not only on SQLite: a revision that was generated on PostgreSQL must run on SQLite too.
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds the whole upgrade
)
context.run_migrations()
