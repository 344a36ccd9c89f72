"""What a caller may do: functions on a transaction, one module for each noun, without SQL and without HTTP.

Jobs:

* ``submission``: from a draft to an accepted job.
* ``job``: submits, reads, cancels and forgets an owner's jobs.
* ``job_view``: a job with the assets that it has made so far.
* ``idempotency``: keys that are good for one job.
* ``attempt``: what the dispatcher does to jobs.
* ``all_jobs``: what an administrator does to the jobs of all users.
* ``engine_choice``: the engine kinds that can run a prompt.
* ``batch``: accepts batches, makes their jobs piece by piece, cancels them.
* ``batch_expansion``: makes the jobs of batches while there is room.
* ``job_end``: what follows the end of a job.
* ``placement``: the engine kinds and the pool that may run a job.
* ``prompt_files``: strings of a prompt that may name files or models.
* ``job_secrets``: keys for partner nodes, which are never stored.
* ``estimate``: how long a graph will take.
* ``run_time_recorder``: keeps the run times of completed jobs.
* ``job_log``: the kept log of a job.
* ``job_log_recorder``: keeps what jobs log.
* ``timeline``: the messages of a finished job in the history.
* ``job_stages``: how long each stage of a job took.
* ``gate``: opens and closes the queue and slots.
* ``leader``: which of several servers leads.

Nodes and models:

* ``catalogue``: the nodes that can run here, by engine kind, in memory.
* ``kept_catalogue``: the latest catalogue in a file.
* ``node``: catalogues in the database.
* ``model``: the model files on disk.
* ``model_memory``: how much memory the models of a job need.
* ``model_index``: registers model files as public assets.
* ``model_import``: downloads models into the model folders.
* ``model_site``: sites that host models.

Files and workflows:

* ``named_files``: files by name, and outputs of jobs.
* ``asset_access``: who may read an asset.
* ``asset_reference``: references to assets inside a graph.
* ``asset_library``: a user's assets, their details and tags.
* ``saved_work``: files and workflows that were made with a ComfyUI.
* ``example_input``: the example picture of a new user.
* ``scheduled_backup``: backups that the server makes by itself.
* ``blob_check``: verifies all blobs and removes unused ones.
* ``backup``: backs up and restores an installation.
* ``download``: downloads files for users.
* ``egress``: HTTP requests to public addresses only.
* ``task``: background tasks.
* ``workflow``: saved workflows and their versions.
* ``publication``: publishes workflows.
* ``given_graph``: workflows that administrators give to everybody.
* ``userdata``: a user's small files.
* ``setting``: the settings of the web UI.

Accounts and the server:

* ``user``: users and accounts.
* ``audit``: who did what.
* ``user_directory``: what an administrator does with accounts.
* ``user_removal``: deletes a user with all their data.
* ``invitation``: links with which users choose a password.
* ``key``: API keys.
* ``session``: sessions of browsers, and the first administrator.
* ``identity``: tokens of an identity provider.
* ``sign_on``: signing in at an identity provider.
* ``provider_requests``: requests to the identity provider.
* ``password``: password hashes.
* ``account_revision``: the number that is incremented when accounts change.
* ``quota``: what users use, and their limits.
* ``expiry``: removes what has expired.
* ``webhook``: webhook endpoints of users.
* ``webhook_queue``: which ends are told to which endpoints.
* ``webhook_sender``: sends webhooks.
* ``retention``: removes what is old and not kept.
* ``housekeeping``: runs it, and frees bytes, on a schedule.
* ``maintenance_lock``: keeps what removes blobs apart from what copies them.
* ``feedback``: feedback for the operator.
* ``log``: the latest log lines.
"""
