"""The handlers of Comfy API v2, each named by its operationId. They use the same services as ``api/comfy``.

* ``asset``: shows, deletes and serves assets; makes assets of bytes that are stored already.
* ``asset_upload``: uploads an asset.
* ``asset_json``: an asset, and a file that a job made, as JSON.
* ``asset_path``: the path of an asset, such as ``sub/photo.png``, and the file name for nodes.
* ``submit``: submits a job.
* ``submit_body``: parses its body into a draft.
* ``job``: lists, shows and cancels jobs; their graphs and logs.
* ``job_json``: a job as JSON.
* ``progress``: how far each running job is, from events.
* ``job_events``: the event stream of a job.
* ``batch``: batches: accepts, shows and cancels them, and follows them.
* ``batch_body``: parses the body of a new batch.
* ``batch_files``: the files of a batch as one zip, and as a contact sheet.
* ``batch_json``: a batch as JSON.
* ``cursor``: cursors of lists.
* ``estimate``: how long a graph or a job will take, and when it begins.
* ``own_routes``: the routes that the contract of Comfy API v2 does not have.
* ``webhook``: webhooks of the caller.
* ``streams``: which streams follow which jobs.
"""
