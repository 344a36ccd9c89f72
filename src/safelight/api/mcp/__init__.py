"""MCP (Model Context Protocol) at ``/mcp``: what a program that speaks it may do here, with the account's key.

* ``door``: the endpoint: streamable HTTP by the official library, one request at a time, on any server.
* ``tool``: a tool, and a call of it.
* ``catalogue_tools``: searches nodes and models, validates graphs.
* ``job_tools``: runs graphs, follows them, fetches their files.
* ``published_tools``: each published workflow as a tool of its own.
"""
