"""HTTP and WebSocket API: the contract's operations, served over ASGI.

Requests, in the order in which a request meets these modules:

* ``http_app``: the ASGI application: API, sockets, routes of node packs, web UI.
* ``slow_clients``: limits on how slowly clients may send.
* ``proxies``: the client behind a trusted reverse proxy.
* ``cross_origin``: pages of other origins that the operator allows.
* ``body_draining``: reads the rest of a body before an early response.
* ``pipeline``: what every API request passes through: route, origin, credentials, validation, transaction, handler.
* ``request_path``: the raw and the decoded path below the mount prefix.
* ``routing``: finds the endpoint of a raw path.
* ``origin``: the host names of the server, and the pages that may use it.
* ``forwarding``: forwards requests to the server that leads.
* ``auth``: the caller, by key, session, token or as the local user.
* ``sign_in``: signing in with a password, with limits on wrong attempts.
* ``parameters``: decodes path and query parameters.
* ``content_encoding``: decompresses request bodies.
* ``request_body``: reads bodies within limits and parses JSON.
* ``multipart``: parses forms; a file goes into the blob store as it arrives.
* ``upload_slots``: limits a user's concurrent uploads.
* ``deadline``: cancels work when the client disconnects or at a time limit.
* ``heavy``: runs CPU work of requests in a queue that is fair between users.

Handlers and responses:

* ``app``: what handlers work with, and the ports to the rest of the server.
* ``api_request``: a request as its handler sees it.
* ``handler``: how a handler declares a transaction, the leader or its own body.
* ``routes``: every route with its handler.
* ``route``: a route that the contract does not have.
* ``contract``: the compiled OpenAPI document of the contract.
* ``schema``: its JSON schemas, compiled on first use.
* ``openapi_document``: the document at ``/openapi.json``.
* ``responses``: JSON responses and ETags.
* ``error_responses``: the status and the form of each error.
* ``quota_notices``: tells webhooks of refusals because of a quota.
* ``byte_headers``: the headers of responses with a user's bytes.
* ``file_fetching``: what fetches files from other servers.
* ``blob_response``: a stored blob as a response, with ranges, or a redirect to the object store.
* ``pack_routes``: routes of node packs, passed to a worker.
* ``health``: ``/health/live`` and ``/health/ready``.
* ``event_stream``: a response of server-sent events.
* ``request_id``: an id for every request, in log lines and the response.
* ``mcp/``: the Model Context Protocol at ``/mcp``.
* ``v2/``: the handlers of Comfy API v2.
* ``comfy/``: the handlers of the contract's operations and of ComfyUI's other routes.
* ``metrics``: ``/metrics``, and who may read it.
* ``account/``: signing in and the first account.
* ``admin/``: routes for administrators.
"""
