"""The messages between the server and its workers, and how they are encoded on a pipe.

* ``call_events``: events of calls as plain data.
* ``codec``: messages to frames and back.
* ``config``: the configuration of an engine process.
* ``connection``: the server's end of the pipe.
* ``correlator``: matches answers with the requests that wait for them.
* ``messages``: the messages themselves.
* ``pipe``: the engine's end of the pipe.
* ``protocol``: the version of all messages.
"""
