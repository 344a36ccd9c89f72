"""Autoencoders between images and latents (VAE).

* ``autoencoder_module``: the network of latent diffusion's autoencoder.
* ``image_autoencoder``: the value on VAE links.
* ``tiles``: process large planes in overlapping tiles.
* ``tiny``: the network of tiny autoencoders (TAESD).
* ``video_autoencoder``: the value on VAE links for autoencoders of videos.
* ``wan_module``: the causal autoencoder of Wan 2.1 and Qwen-Image.
"""
