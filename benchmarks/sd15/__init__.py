"""Parity with ComfyUI on Stable Diffusion 1.5's architecture: see ``__main__``."""
