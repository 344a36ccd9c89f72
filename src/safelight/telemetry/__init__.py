"""What operators see of a server: metrics for Prometheus, and the form of its log.

* ``metrics``: every metric that counts, and how each part of the server reports to it.
* ``snapshot``: metrics of the present state: the queue, slots, devices, sockets.
* ``log_format``: log lines for a console, or as JSON.
* ``request_id``: the id of a request, in its log lines and its response.
"""
