"""Nodes that combine and mark conditioning; no model is needed."""
