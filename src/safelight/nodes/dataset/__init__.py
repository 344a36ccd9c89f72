"""Nodes that prepare many images for training.

* ``adjust``: levels, crops and sizes of single images.
* ``collection``: lists of images: deduplicate, shuffle, merge, group by size.
* ``random_state``: the random numbers of these nodes.
"""
