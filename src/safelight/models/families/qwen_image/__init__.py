"""Qwen-Image: the first model, its editors (2508, 2509, 2511) and the one for layers.

* ``conditioning``: embeddings and reference pictures as inputs of the network.
* ``control``: InstantX's ControlNets.
* ``family``: detection, and what is known about its members.
* ``latent``: the latents of Wan 2.1's autoencoder, which Qwen-Image has too.
* ``lora_names``: the names of the network's modules in LoRA files.
* ``miniature_files``: its miniature weights.
* ``model_patch``: DiffSynth-Studio's control, a patch of each block.
* ``network``: the transformer.
* ``text``: Qwen2.5-VL as its text encoder, with pictures in the prompt.
"""
