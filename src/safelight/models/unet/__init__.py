"""The UNet of latent diffusion, from the shapes of its weights.

``shape`` reads off a file what a UNet is made of, ``blocks`` are its parts, ``module`` walks through them.
"""
