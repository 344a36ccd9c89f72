"""The web UI: ComfyUI's frontend, templates, node help and blueprints, served from their installed packages.

It has no API of its own: :class:`~safelight.web.site.Web` serves every path that is not an API route, and the bodies of
the few API routes whose data comes from these packages.

* ``site``: the ASGI application.
* ``paths``: finds the file for a URL path.
* ``templates``: the list of workflow templates, with what runs here first.
* ``ui_texts``: texts of the web UI that differ on this server.
* ``pages``: the pages for signing in, for administrators, for the account, and for help.
* ``packages``: finds the installed packages of the web UI.
* ``packs``: reads what node packs provide for the web UI.
* ``blueprints``: subgraph blueprints of the frontend's node library.
* ``encodings``: HTTP compression.
* ``copies``: the folder of compressed copies.
* ``prepare``: the program that fills that folder.
"""
