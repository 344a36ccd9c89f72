"""Where engines run: as local processes, on a Ray cluster, or nowhere (a fake for tests).

* ``agent``: what runs beside a remote slot: its supervisor, its outbox, and which server owns it.
* ``agent_messages``: the messages between a server and an agent.
* ``commands``: which program a slot starts, by its engine kind.
* ``fake``: a backend without engines, for tests.
* ``local``: engines as child processes of the server.
* ``process``: one engine process, as the operating system sees it.
* ``ray``: engines on a Ray cluster, each behind an agent in a detached actor.
* ``ray_cluster``: the connection to a Ray cluster, and the actor of each slot.
* ``slot_dirs``: the home and the temporary folder of each slot's engines.
* ``spare``: a second engine of a slot, which waits.
* ``supervisor``: keeps an engine running on a slot.
"""
