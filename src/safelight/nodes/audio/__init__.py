"""Nodes for sound."""
