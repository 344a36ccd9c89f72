"""FLUX.3 Image klein, the base model and the one that was distilled to few steps.

* ``conditioning``: embeddings and reference pictures as inputs of the network.
* ``family``: detection, and what is known about its members.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
* ``text``: Qwen3-VL as its text encoder.
"""
