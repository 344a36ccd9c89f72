"""Safelight's own routes for administrators.

* ``routes``: the routes of this package.
* ``jobs``: the jobs of all users.
* ``packs``: the node packs of each slot.
* ``schedule``: waiting jobs, slots and gates.
"""
