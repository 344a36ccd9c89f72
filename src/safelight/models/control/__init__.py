"""Networks that guide by an image: ControlNet (Zhang et al. 2023) and T2I-Adapter (Mou et al. 2023). Those of UNets are
here, those of transformers in the folders of their families.

* ``adapter``: the network of T2I-Adapter.
* ``control_network``: the value on CONTROL_NET links, and controls in a conditioning.
* ``controlnet_module``: the network of ControlNet.
* ``latent_hint``: the image as networks see it that work on latents.
* ``model_patch``: the values on MODEL_PATCH links.
* ``transformer_control``: ControlNets of transformers.
"""
