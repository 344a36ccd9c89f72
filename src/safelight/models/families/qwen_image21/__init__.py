"""Qwen-Image 2.1, for pictures from text and for edits.

* ``conditioning``: embeddings and reference pictures as inputs of the network.
* ``family``: detection, and what is known about it.
* ``latent``: its latents.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
* ``prefix_cache``: keys and values of text and references, kept between steps.
* ``text``: Qwen3-VL as its text encoder, with pictures in the prompt.
"""
