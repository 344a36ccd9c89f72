"""The version of ComfyUI whose interfaces these modules follow; packs check it before they use a feature."""

__version__ = "0.8.0"
