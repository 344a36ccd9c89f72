"""Safelight's own routes for administrators.

* ``routes``: the routes of this package.
* ``audit``: who did what.
* ``given_graphs``: workflows for everybody.
* ``housekeeping``: what the server removes by itself.
* ``jobs``: the jobs of all users.
* ``keys``: the keys of all users, and the log.
* ``usage``: what users used by day, and what they wrote.
* ``machine``: the memory of devices, and free disk space.
* ``models``: model files, and importing them.
* ``packs``: the node packs of each slot.
* ``users``: the accounts of all users.
* ``schedule``: waiting jobs, slots and gates.
"""
