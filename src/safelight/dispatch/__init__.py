"""From the queue to the workers and back: claims jobs, runs them on slots, and stores what they report.

* ``attempts/``: one attempt at a job: its limits, its outcome, its recovery after a restart.
* ``backend``: the port behind which engines run.
* ``backends/``: where engines run: local processes, a Ray cluster, a fake.
* ``dispatcher``: the wiring of all parts; receives messages of engines and events of the bus.
* ``engine_access``: what HTTP asks of the engines.
* ``files/``: how input files reach an engine, and how its outputs reach the store.
* ``journal``: what an attempt's engine has reported, for a server that reattaches to it.
* ``leadership``: which of several servers has the dispatcher.
* ``model_examination``: which model files an engine cannot load.
* ``pack_requests``: HTTP routes of node packs, served by engines.
* ``remote_validation``: validation of a prompt's inputs in a worker.
* ``scheduling/``: which job starts next, and on which slot.
* ``slots/``: the slots, and the attempts that they run.
* ``tasks``: background tasks of the dispatcher.
"""
