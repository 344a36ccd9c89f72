"""Nodes that load models from files.

* ``checkpoint``: checkpoints and their parts.
* ``controlnet``: control networks.
* ``lora``: LoRAs.
* ``vision``: image encoders and style models.
"""
