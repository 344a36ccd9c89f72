"""Comparison with a real ComfyUI: runs both on the same inputs and measures the distance between the results."""
