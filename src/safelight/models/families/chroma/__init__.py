"""Chroma (Lodestone Rock 2025), a Flux whose modulations come from a small network of their own.

* ``chroma_module``: the network.
* ``conditioning``: what the options of a conditioning mean to it.
* ``family``: how its files are told, and what is known about them.
* ``miniature_files``: its miniature weights.
"""
