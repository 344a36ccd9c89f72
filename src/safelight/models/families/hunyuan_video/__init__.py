"""HunyuanVideo 1.5: text and pictures to video.

* ``conditioning``: embeddings and pictures as inputs of the network.
* ``family``: detection, and what is known about its members.
* ``glyphs``: byT5, which reads the texts that a video shows.
* ``lora_names``: the names of the network's modules in files.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
* ``text``: its text encoders.
* ``text_refiner``: what the network does with embeddings before its blocks.
"""
