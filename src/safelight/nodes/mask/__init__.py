"""Nodes for masks and alpha channels."""
