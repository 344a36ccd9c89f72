"""What Alembic runs: the revisions, on the connection and inside the transaction of whoever called it."""

from alembic import context

from safelight.db import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    # Always, not only on SQLite: a revision that was written beside PostgreSQL must run on SQLite too.
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds the whole upgrade
)
context.run_migrations()
