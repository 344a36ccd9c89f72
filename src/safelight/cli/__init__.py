"""The ``safelight`` command line: one module for each sub-command, and what they share.

* ``main``: the entry point: finds the sub-command, prints errors as one line.
* ``audit``: ``safelight audit``: who did what.
* ``backup``: ``safelight backup``: copy a whole installation into a folder.
* ``blobs``: ``safelight blobs``: copy stored files from one store to another.
* ``console``: the two consoles (results and messages), and plain tables.
* ``database``: the options that name a database, and a transaction on it.
* ``db``: ``safelight db``: check, upgrade and move the database.
* ``demo``: ``safelight demo``: start a server and make one picture with the bundled model.
* ``doctor``: ``safelight doctor``: check this machine and this installation.
* ``gate``: ``safelight gate``: pause, drain or open the queue or a slot.
* ``gc``: ``safelight gc``: remove stored files that nothing refers to.
* ``import_work``: ``safelight import``: take over what was made with a ComfyUI.
* ``housekeeping``: ``safelight housekeeping``: what the server removes by itself.
* ``job``: ``safelight job``: list, show, cancel, retry, move and delete the jobs of all users.
* ``key``: ``safelight key``: API keys.
* ``maintenance``: opening an installation for maintenance, the maintenance lock, and sizes as text.
* ``model``: ``safelight model``: check and convert model files; list and import those of a server.
* ``options``: the options of ``serve`` and ``doctor``, passed on to the settings.
* ``pack``: ``safelight pack``: add, list and check node packs.
* ``pack_import``: importing node packs as a worker does.
* ``pack_libraries``: resolving and installing the libraries of node packs.
* ``pack_requirements``: what a node pack needs, and which of it is there.
* ``restore``: ``safelight restore``: a new installation from a backup.
* ``admin_client``: HTTP requests to a running server, and the queue and slots as text.
* ``metrics_listener``: the listener of its own for ``/metrics``.
* ``quiet_server``: Uvicorn without its signal handlers.
* ``run``: runs a graph, or a batch of it, on a running server.
* ``serve``: ``safelight serve``: the server process and its socket.
* ``status``: ``safelight status``: the queue, the slots, the engines and the packs that failed.
* ``usage``: ``safelight usage``: what users used by day, and what they wrote.
* ``user``: ``safelight user``: accounts and their quotas.
* ``verify``: ``safelight verify``: read every stored file and report damage.
* ``workflow``: ``safelight workflow``: workflows for everybody.
* ``worker``: ``safelight worker``: join this machine to a Ray cluster.
"""
