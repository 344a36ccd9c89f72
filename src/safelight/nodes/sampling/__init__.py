"""Noise schedules (sigmas) and noise sources that need no model."""
