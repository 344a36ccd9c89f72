"""Nodes for videos.

* ``clip``: the value of type VIDEO.
* ``interpolation``: frames between frames.
* ``load_video``: load videos, and take them apart.
* ``save_video``: make and save videos.
"""
