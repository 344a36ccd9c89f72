"""The image encoders of language models: from a picture to embeddings that stand for tokens.

* ``patches``: cut a picture into patches.
* ``qwen25``: the encoder of Qwen2.5-VL.
"""
