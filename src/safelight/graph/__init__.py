"""The graph engine: pure, sans-I/O. Events in, instructions out; no torch, no clock, no sockets.

* ``arguments``: the arguments of each invocation of a call.
* ``cache``: results of calls, kept across jobs and users.
* ``call_state``: the state of one call during an execution.
* ``calls``: the calls of a job, those of expansions included.
* ``demand``: which calls are needed and ready, and whose outputs are still in use.
* ``dynamic``: inputs that depend on the values of others.
* ``editor_format``: from a workflow of the editor to the graph that it runs.
* ``execution``: the decisions of one job, from its start to its finish.
* ``expand``: results of calls that returned a graph.
* ``instructions``: the vocabulary of execution and runner: events and instructions.
* ``link_types``: which output type may feed which input type.
* ``lists``: mapping a node over lists, and joining the results.
* ``literals``: checks of literal inputs: type, range, options, files.
* ``plan``: topological order, and cycles.
* ``prompt_format``: parsing a prompt in API format.
* ``signature``: the cache key of a call.
* ``cost_key``: keys of what calls and graphs cost.
* ``variations``: which values may stand in an input of a valid prompt.
* ``validate``: validation of a prompt against the schemas of its nodes.
* ``validation_errors``: the errors of a prompt in ComfyUI's vocabulary.
"""
