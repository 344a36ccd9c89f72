"""Nodes that load models from files, and save them."""
