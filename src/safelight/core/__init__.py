"""Nouns and their rules. Standard library only, no I/O.

* ``asset``: named, owned, tagged references to blobs, and who may read them.
* ``audit``: what administrators did, and who signed in.
* ``backoff``: retries with growing pauses, for stores and databases that are away.
* ``batch``: many jobs of one graph, and the values in which they differ.
* ``clock``: time as a port.
* ``credential``: keys and tokens that identify a user.
* ``device``: devices by name.
* ``digest``: digests of blobs.
* ``engine_kind``: which programs run jobs.
* ``errors``: the errors of the domain.
* ``event``: past facts that the bus delivers to listeners.
* ``extra_places``: the meaning of ComfyUI's ``extra_model_paths.yaml``.
* ``gate``: whether the queue and each slot let jobs start.
* ``group_rules``: what membership in groups of an identity provider means.
* ``ids``: typed identities.
* ``job``: a job and its state machine.
* ``job_label``: labels of jobs, and filters by them.
* ``kept_log``: the log lines of a job that are kept.
* ``leader``: the leader among several servers.
* ``metadata_field``: fields of an asset's metadata, for filters.
* ``model_folders``: folders of model files.
* ``node``: a node's declaration as data.
* ``node_union``: one catalogue of nodes from those of several engine kinds.
* ``output``: the outputs of a job, as its clients see them.
* ``pack``: node packs and what could not be loaded.
* ``paging``: a page of a list.
* ``pool``: which slots may run a job: pools and engine kinds.
* ``publication``: which parts of a workflow may be shared.
* ``retention``: how long files, jobs and logs stay that nobody keeps.
* ``retry``: the retry rule of jobs.
* ``task``: background tasks.
* ``trace_context``: the trace to which the present work belongs.
* ``upload_mark``: the mark of a combo that offers the user's own files.
* ``user``: users, their rights and their quotas.
* ``userdata``: paths of a user's small files.
* ``webhook``: endpoints of users, deliveries to them, and when they are tried.
* ``worker``: slots and engines.
* ``workflow``: saved workflows and their versions.
"""
