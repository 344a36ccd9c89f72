"""Safelight's own routes for administrators.

* ``routes``: the routes of this package.
* ``housekeeping``: what the server removes by itself.
* ``jobs``: the jobs of all users.
* ``packs``: the node packs of each slot.
* ``schedule``: waiting jobs, slots and gates.
"""
