"""Events to many listeners, in one process or in all servers of a database.

* ``bus``: the port: publish and subscribe.
* ``codec``: events as bytes.
* ``memory``: the bus of a server that runs alone.
* ``postgres``: the bus of several servers, over PostgreSQL's notifications.
"""
