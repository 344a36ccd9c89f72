"""Nodes for videos.

* ``clip``: the value of type VIDEO.
* ``load_video``: load videos, and take them apart.
* ``save_video``: make and save videos.
"""
