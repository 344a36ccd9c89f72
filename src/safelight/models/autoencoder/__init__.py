"""The autoencoder between pictures and latents: ``module`` is its network, ``value`` what travels on VAE links."""
