"""Safelight's own routes for every user: signing in, their account, and the node packs.

* ``own``: what users see and change of their own account.
* ``account_json``: an account as JSON.
* ``packs``: the node packs, with what could not be loaded.
* ``removal``: deletes a user with all their data.
* ``routes``: the routes of this package.
* ``sign_on``: signing in and out at an identity provider.
* ``session``: their handlers: sessions of browsers, invitations, and the first account of a server.
"""
