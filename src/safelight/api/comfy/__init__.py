"""The handlers of the contract's operations, each named by its operationId, and of ComfyUI's other routes.

* ``comfy_routes``: ComfyUI's routes that the contract does not have.
* ``not_implemented``: operations that answer 501.

Jobs:

* ``prompt``: submits a prompt.
* ``prompt_body``: parses its body into a draft.
* ``job``: lists, shows and cancels jobs.
* ``job_lists``: caches the lists of jobs.
* ``job_json``: a job in each form that clients read.
* ``job_ids``: job ids in request bodies.
* ``queue``: waiting and running jobs.
* ``history``: finished jobs.

Sockets:

* ``snapshot``: what a client gets when its WebSocket connects in the middle of a job.
* ``socket``: one ``/ws`` connection.
* ``hub``: which socket receives which events.
* ``outbox``: the bounded send queue of a socket.
* ``live``: the running jobs, for clients that connect in the middle.
* ``messages``: events as ComfyUI's messages.
* ``frame``: one encoded message.

Files, assets and models:

* ``asset``: lists, shows and changes assets.
* ``asset_json``: an asset as JSON, and cursors.
* ``asset_upload``: uploads an asset or downloads it from a URL.
* ``tag``: tags of assets.
* ``upload``: uploads in ComfyUI's form.
* ``view``: serves a file by its ComfyUI name, as it is or rendered.
* ``rendering``: renders pictures, few at a time.
* ``files``: the names of the caller's files.
* ``mask``: the layers of the mask editor.
* ``vhs``: facts about a video.
* ``model``: the model files on disk.
* ``asset_seed``: scans model files into public assets.
* ``task``: background tasks.

Nodes, workflows and the rest:

* ``node``: the nodes that can run here.
* ``node_info``: caches the body of ``/api/object_info``.
* ``object_info``: a node's schema as JSON.
* ``revisions``: a revision number for each user, for caches.
* ``workflow``: saved workflows and their versions.
* ``publication``: publishes workflows.
* ``userdata``: the user's small files.
* ``setting``: the settings of the web UI.
* ``user``: the caller.
* ``feedback``: feedback for the operator.
* ``system``: versions, devices, health and memory.
* ``log``: the server's log.
* ``web``: extensions, translations, templates and blueprints.
"""
