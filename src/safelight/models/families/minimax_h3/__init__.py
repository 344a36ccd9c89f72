"""MiniMax H3: films with sound, from text, pictures, films and sounds.

* ``conditioning``: embeddings, guides and references as inputs of the network.
* ``family``: detection, and what is known about it.
* ``frames``: the lengths that films can have, and those of their latents.
* ``latent``: its latents, of a film and of its sound.
* ``layout``: where each part of the sequence is in time and space.
* ``lora_names``: the names of the network's modules in LoRA files.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
* ``sparse_attention``: attention to a part of a long film.
* ``text``: Qwen3-VL as its text encoder, with pictures and films in the prompt.
"""
