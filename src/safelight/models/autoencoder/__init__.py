"""Autoencoders between images and latents (VAE).

* ``autoencoder_module``: the network of latent diffusion's autoencoder.
* ``image_autoencoder``: the value on VAE links.
* ``tiles``: process large planes in overlapping tiles.
* ``tiny``: the network of tiny autoencoders (TAESD).
"""
