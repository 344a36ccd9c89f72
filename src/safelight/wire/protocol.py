"""The version of what servers, outposts and engines say to each other.

It is part of the names of actors on a cluster: a server goes on with the attempts of an earlier one of the same
protocol, and leaves those of another alone.
"""

PROTOCOL = 3
"""Raise it with every change of a message's declaration. ``tests/dispatch/test_protocol.py`` fails until it is."""
