"""Database rows and transactions, on SQLite and PostgreSQL. No other package imports SQLAlchemy.

* ``engine``: the database as the server sees it: ``read`` and ``write``.
* ``transaction``: what a service gets: a connection, and what to do after the commit.
* ``transactor``: the protocol of the two transactors, and the fenced one.
* ``group_commit``: several transactions in one commit, each in a savepoint.
* ``snapshot``: a consistent copy of a database as one SQLite file.
* ``sqlite_driver``: the driver of SQLite.
* ``sqlite``: opens SQLite files; the lock of a database's only server.
* ``sqlite_transactor``: reads and writes on SQLite.
* ``sqlite_writer``: the thread that writes to SQLite.
* ``readers``: the threads that read from SQLite.
* ``postgres``: connections to PostgreSQL and its advisory locks.
* ``postgres_transactor``: reads and writes on PostgreSQL.
* ``notices``: notices and previews between the servers of one PostgreSQL database.
* ``error_translation``: errors of both databases, translated.
* ``tables``: every table and index.
* ``types``: column types: times, JSON, digests.
* ``migrate``: upgrades the schema when a server starts.
* ``migrations/``: Alembic's environment and revisions.
* ``check``: the state of a database, for ``safelight db check``.
* ``copying``: copies a SQLite database to PostgreSQL.
* ``batches``: long lists of keys, split for one statement each.
* ``upsert``: ``INSERT ... ON CONFLICT`` in both dialects.
* ``account``: accounts, quotas and the accounts revision.
* ``all_jobs``: the jobs of all users, for administrators.
* ``asset``: assets: named references to blobs.
* ``asset_index``: tags, counts, metadata fields and names, by which lists find assets.
* ``asset_list``: pages of assets: which plan reads a page.
* ``asset_query``: the statements of asset lists.
* ``attempt``: jobs as the dispatcher sees them, and what an attempt leaves.
* ``audit``: who did what.
* ``batch``: batches, and the jobs of a batch.
* ``blob``: which bytes are stored.
* ``credential``: API keys, sessions and setup links.
* ``feedback``: feedback of users.
* ``gate``: what an administrator has paused or drained.
* ``job``: jobs as their owners see them.
* ``given_graph``: workflows that were given to everybody.
* ``idempotency``: idempotency keys of submissions.
* ``job_columns``: the columns of a job, declared once.
* ``job_files``: one job, what it has made so far, and its place in the queue.
* ``job_label``: labels of jobs, and the assets that jobs hold.
* ``job_list``: pages of a user's jobs.
* ``job_log``: what jobs have logged.
* ``job_rows``: puts whole jobs together from their tables.
* ``leader``: which server leads.
* ``owned_assets``: which assets a user owns, by digest and id.
* ``name_search``: search in names by trigrams.
* ``node``: node catalogues by engine kind and digest.
* ``publication``: published workflows and their assets.
* ``queue_depth``: the number of queued jobs by owner and requirements.
* ``retention``: files and jobs that are old and not kept.
* ``run_time``: how long calls and graphs took.
* ``scanned_file``: model files that are registered as assets.
* ``setting``: settings of the web UI.
* ``tag``: tags and their counts.
* ``task``: background tasks.
* ``user``: users and the numbering of their jobs.
* ``usage``: what users have used, by day.
* ``user_removal``: removes every row of a user.
* ``userdata``: small files of users, by path.
* ``webhook``: webhook endpoints and deliveries.
* ``workflow``: saved workflows and their versions.
"""
