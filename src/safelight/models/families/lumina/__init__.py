"""Lumina Image 2.0 and Z-Image (turbo and base): the same network in two sizes, each with its text encoder.

* ``conditioning``: embeddings and their mask as inputs of the network.
* ``family``: detection, and what is known about the two.
* ``lora_names``: the names of the network's modules in LoRA files.
* ``miniature_files``: its miniature weights.
* ``model_patch``: Alibaba's Fun ControlNets of Z-Image.
* ``network``: the transformer.
"""
