"""Text encoders: from a prompt to the tensors that condition a network.

* ``chunks``: arrange tokens in windows.
* ``clip_weights``: rename weights from the layouts of files.
* ``embeddings``: textual inversion.
* ``encoder``: the value on CLIP links.
* ``encoder_module``: the network of CLIP's text encoder.
* ``prompt_weights``: parse weights in a prompt.
* ``recipe``: which layer of an encoder is used, and how.
* ``tokenizer``: CLIP's byte-pair tokenizer.
"""
