"""Nodes that make, cut, join and change latents; no model is needed."""
