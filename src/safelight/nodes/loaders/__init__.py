"""Nodes that load models from files.

* ``checkpoint``: checkpoints and their parts.
* ``controlnet``: control networks and model patches.
* ``lora``: LoRAs.
* ``ltxv``: the text encoder of LTX-2, and networks that enlarge latents.
* ``vision``: image encoders and style models.
"""
