"""Nodes for moving pictures, and the value that travels between them."""
