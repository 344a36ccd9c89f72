"""Safelight: a self-hosted, multi-user server for ComfyUI workflows.

The server column:

* ``cli/``: the command ``safelight``, a file for each subcommand.
* ``app``: the server's composition root.
* ``declared_nodes``: the nodes and packs that engines declare, in memory, on disk and in the web UI.
* ``backends``: where the workers of a server run, as its settings say.
* ``tracing``: traces, if the settings ask for them.
* ``api/``: HTTP and WebSocket: the contract's operations, and ComfyUI's spelling of them.
* ``web/``: the files of the ComfyUI web UI.
* ``telemetry/``: metrics, traces, and the form of the log.
* ``dispatch/``: jobs to workers: scheduling, attempts, slots, files and backends.
* ``services/``: what can be done with jobs, assets, workflows and users; each function runs in a transaction.
* ``bus/``: events to subscribers, after the commit.
* ``db/``: rows; SQLAlchemy is used here only.
* ``settings/``: the settings, declared in groups.

The worker column:

* ``runtime/``: the worker process: messages, the job loop, files, previews, node packs.
* ``comfyui_engine/``: the worker process that is an operator's ComfyUI.
* ``shims/``: the modules that node packs written for ComfyUI import.
* ``nodes/``: the node library, by domain.
* ``models/``: networks, samplers and files of weights.
* ``sdk/``: what the author of a node imports.
* ``worker/``: the state of a worker process, in one context.

What both share:

* ``graph/``: the graph engine: events in, instructions out.
* ``wire/``: the messages between server and worker, and their codec.
* ``media/``: pictures, films, sounds and files of weights.
* ``blobs/``: bytes under their digest, in a folder or an object store.
* ``sandbox/``: the confinement of workers.
* ``comfyui/``: a ComfyUI on disk: its interpreter, version and packs.
* ``core/``: nouns and their rules, without I/O.
"""

__version__ = "0.1.0"
