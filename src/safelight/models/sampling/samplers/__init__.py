"""Samplers: how to step from noise to a latent. ``run`` is what one is given, ``table`` has them by name."""
