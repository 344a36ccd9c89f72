"""The worker process: it runs graphs, one at a time, on one device.

* ``background``: an event loop in a thread of its own, for nodes that are coroutines.
* ``bound_call``: one call of a node: its method, its hidden values, and the invocation.
* ``call_context``: what a running call can request from this process: files, models, progress.
* ``check_packs``: loads node packs as a worker does and reports which failed.
* ``devices``: versions, devices and memory of this process.
* ``dynprompt``: the graph as nodes see it that request ``DYNPROMPT``.
* ``engine``: the thread that reads messages, and the loop that runs jobs.
* ``failure``: exceptions of nodes in the contract's form.
* ``filename_sequence``: the numbered names of saved files.
* ``inference``: torch without gradients, if torch is imported.
* ``input_validation``: the nodes' own checks of their inputs (``VALIDATE_INPUTS``).
* ``job_loop``: runs one job by the instructions of its execution.
* ``import_journal``: which pack is being imported, on disk.
* ``lease_watchdog``: ends the process when the server is silent for longer than the lease.
* ``main``: the process's entry point and composition root.
* ``model_examination``: which model files this engine cannot load.
* ``outbox``: messages on their way to the pipe.
* ``pack_copies``: copies of node packs, from which they are imported.
* ``pack_server``: HTTP routes of node packs.
* ``packs``: finds and imports the nodes of the library and of node packs.
* ``preview_encoding``: preview pictures, made smaller and encoded as JPEG.
* ``printing``: what nodes print, as log lines of their job.
* ``process_ends``: ends of this process that a pack requests outside jobs.
* ``resident_models``: the model files in memory.
* ``results``: what a node returned, in one form.
* ``running_job``: the attempt that this engine works on: cancel flag, files, requests to the server.
* ``sizes``: estimates of the memory that a result keeps alive.
* ``staging_check``: whether a failed call is the fault of the job's folder.
"""
