"""The image encoders of language models: from a picture to embeddings that stand for tokens.

* ``patches``: cut a picture into patches.
* ``qwen25``: the encoder of Qwen2.5-VL.
* ``qwen3``: the encoder of Qwen3-VL and Qwen3.5.
* ``tower``: the interface, and where an encoder's shape comes from.
"""
