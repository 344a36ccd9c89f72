"""FLUX.1 (Black Forest Labs 2024): dev, schnell, fill, canny, depth, kontext and models trained from them.

* ``conditioning``: what the options of a conditioning mean to its networks.
* ``family``: how its files are told, and what is known about each.
* ``flux_module``: the network.
* ``miniature_files``: its miniature weights.
* ``model_patch``: USO's projector of styles.
"""
