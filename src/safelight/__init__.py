"""Safelight: a self-hosted, multi-user server for ComfyUI workflows."""

__version__ = "0.1.0"
