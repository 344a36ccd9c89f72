"""Blocks that diffusion transformers share. Attributes have the names of the weights in the original files.

* ``additions``: what control networks and hooks add to tokens.
* ``attention``: attention over heads.
* ``embeddings``: timesteps and other numbers as features.
* ``modulation``: adaptive layer norm.
* ``normalization``: root mean square norms.
* ``patches``: pictures as tokens, and back.
* ``references``: reference pictures beside the latent.
* ``rotary``: positions in attention.
* ``stream_names``: the names of modules in LoRA files of diffusers' layout.
* ``streams``: transformer blocks over text and picture, in two streams and in one.
"""
