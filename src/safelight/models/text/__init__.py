"""Text encoders: from a prompt to the tensors that condition a network.

* ``chunks``: arrange tokens in windows.
* ``clip``: CLIP's encoders as families use them.
* ``clip_weights``: rename weights from the layouts of files.
* ``embeddings``: textual inversion.
* ``encoder``: the value on CLIP links.
* ``encoder_files``: the kinds of text encoder files.
* ``encoder_module``: the network of CLIP's text encoder.
* ``prompt_weights``: parse weights in a prompt.
* ``recipe``: the protocol of an encoder, and how the results of several are joined.
* ``t5``: the encoders of T5 and UMT5.
* ``t5_recipe``: T5 and UMT5 as families use them.
* ``tokenizer``: CLIP's byte-pair tokenizer.
* ``whole_prompt``: encoders that read a prompt as a whole.
"""
