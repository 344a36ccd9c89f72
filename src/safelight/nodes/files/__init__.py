"""Nodes that load, save and show pictures, latents, drawings and texts."""
