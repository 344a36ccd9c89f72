"""Nodes that change how a model is sampled, without touching its weights."""
