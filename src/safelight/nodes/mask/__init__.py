"""Nodes for masks and alpha channels.

* ``alpha``: split, join and composite alpha channels.
* ``basic``: create, convert, invert, crop and threshold masks.
* ``shape``: grow, feather and combine masks.
"""
