"""Stable Diffusion 3 and 3.5 (Esser et al. 2024).

* ``conditioning``: what the options of a conditioning mean to its networks.
* ``control``: its ControlNets.
* ``family``: how its files are told, and what is known about them.
* ``lora_names``: the names of its modules in LoRA files.
* ``miniature_files``: its miniature weights.
* ``mmdit_module``: the network.
* ``text``: how the outputs of its text encoders are joined.
"""
