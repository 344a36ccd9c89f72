"""How input files reach an engine, and how its outputs reach the store.

* ``copied``: the transport of engines whose machines copy files themselves.
* ``folders``: folders with the owners and modes that confined engines need.
* ``inputs``: links the input files of a job into a folder that its engine may read.
* ``look_ahead``: fetches the files of jobs that will start soon.
* ``outputs``: checks the files that an engine reports, and moves them into the store.
* ``owned_folder``: folders that belong to one process until it ends.
* ``shared``: the transport of engines that share folders with the server.
* ``staging``: the folders that attempts write their outputs to.
* ``transfer``: copies files between a worker's own disk and the object store.
* ``transport``: the port that both transports implement.
"""
