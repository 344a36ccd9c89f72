"""FLUX.2 (Black Forest Labs 2025): dev, and klein.

* ``conditioning``: what the options of a conditioning mean to its network.
* ``family``: how its files are told, and what is known about each.
* ``flux2_module``: the network.
* ``miniature_files``: its miniature weights.
"""
