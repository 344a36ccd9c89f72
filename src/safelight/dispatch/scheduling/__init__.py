"""Which job starts next, and on which slot. Pure: no clock, no I/O.

* ``affinity``: on which slot: one that has the job's models loaded, within a bounded wait.
* ``fairness``: whose job is next: the user with the least virtual time.
* ``forecast``: when a job will start.
* ``slots_to_start``: how many stopped slots must start for the jobs that wait.
* ``outgrown``: jobs that ran out of memory on a device, and the slots that are too small for them.
* ``queue``: both of them together, with the users who are at their concurrency limit.
"""
