"""Stable Audio Open.

* ``conditioning``: embeddings and times as inputs of the network.
* ``family``: detection, and what is known about it.
* ``miniature_files``: miniature weights.
* ``network``: the transformer.
"""
