"""Krea 2 (raw and turbo).

* ``conditioning``: embeddings as inputs of the network.
* ``family``: detection, and what is known about it.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
"""
