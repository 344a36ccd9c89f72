"""Signing in: Safelight's own routes that a browser needs before it has a credential.

* ``routes``: the routes of this package.
* ``session``: their handlers: the sessions of browsers, and the first account of a server.
"""
