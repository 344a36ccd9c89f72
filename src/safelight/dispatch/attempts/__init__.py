"""One attempt at a job: its state, its limits, its outcome, and its recovery after a restart of the server.

* ``attempt``: the state of an attempt, followed from the messages of its engine.
* ``infra_failures``: failures that are not the job's fault, and when they shut a slot.
* ``run_limits``: how long a job may run and a node stay silent.
* ``names``: numbers for the names of output files.
* ``outcomes``: stores outputs, ends and losses, until the database has them.
* ``recovery``: attempts that another server began: found again, or failed.
"""
