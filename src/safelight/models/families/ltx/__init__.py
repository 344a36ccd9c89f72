"""LTX-Video, and LTX-2 with sound.

* ``blocks``: what the networks are made of.
* ``conditioning``: embeddings, frame rate, masks and guides as inputs of a network.
* ``family``: detection, and what is known about them.
* ``latent``: the formats of their latents.
* ``lora_names``: the names of modules in LoRA files.
* ``miniature_files``: miniature weights.
* ``positions``: rotary positions.
* ``sound_network``: the transformer of LTX-2.
* ``text``: the text encoder of LTX-2.
* ``video_network``: the transformer of LTX-Video.
"""
