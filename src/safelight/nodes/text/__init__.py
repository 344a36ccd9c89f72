"""Nodes that build, change and show text."""
