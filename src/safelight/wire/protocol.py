"""The version of the messages between servers, agents and engines.

It is part of the names of actors on a cluster: a server reattaches to the attempts of an earlier server with the same
protocol, and leaves those of another protocol alone.
"""

PROTOCOL = 5
"""Increment it whenever the declaration of a message changes; ``tests/dispatch/test_protocol.py`` checks that."""
