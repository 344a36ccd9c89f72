"""Text encoders: from a prompt to what a network is conditioned on.

``prompt`` reads weights out of a prompt, ``tokenizer`` splits words, ``chunks`` arranges tokens in windows, ``encoder``
turns them into tensors with ``encoder_module``.
"""
