"""The state of a worker process that outlives its jobs, below everything that uses it.

* ``context``: the worker context, and the accessor for code that cannot be passed it.
* ``local_copies``: copies of model files from a network folder on the local disk.
* ``workspace``: the folders on disk that node packs see as ``folder_paths``.
"""
