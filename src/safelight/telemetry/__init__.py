"""What operators see of a server: metrics for Prometheus, OpenTelemetry traces, and the form of its log.

* ``metrics``: every metric that counts, and how each part of the server reports to it.
* ``snapshot``: metrics of the present state: the queue, slots, devices, sockets.
* ``log_format``: log lines for a console, or as JSON.
* ``traces``: spans, and where they are sent; the spans of requests.
* ``job_traces``: the spans of jobs, from the events of the bus.
* ``request_id``: the id of a request, in its log lines and its response.
"""
