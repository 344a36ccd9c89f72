"""Safelight beside a real ComfyUI: the same inputs through both, and how far the results are apart."""
