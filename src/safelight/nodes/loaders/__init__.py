"""Nodes that load models from files.

* ``checkpoint``: checkpoints and their parts.
* ``controlnet``: control networks.
* ``lora``: LoRAs.
* ``ltxv``: the text encoder of LTX-2, and networks that enlarge latents.
* ``vision``: image encoders and style models.
"""
