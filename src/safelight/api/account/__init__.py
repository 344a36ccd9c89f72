"""Safelight's own routes for every user: signing in, and the node packs.

* ``packs``: the node packs, with what could not be loaded.
* ``routes``: the routes of this package.
* ``session``: their handlers: the sessions of browsers, and the first account of a server.
"""
