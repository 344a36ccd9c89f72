"""The version of ComfyUI whose interfaces these modules follow; packs decide by it what they may use."""

__version__ = "0.8.0"
