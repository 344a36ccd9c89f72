"""The UNet of latent diffusion, built from the shapes of its weights.

* ``blocks``: the parts of a UNet.
* ``diffusers_layout``: rename weights from diffusers' layout.
* ``diffusers_names``: the names of modules in latent diffusion's and diffusers' layout.
* ``shape``: read the structure of a UNet off its weights.
* ``unet_module``: the network.
"""
