"""Only the part of k-diffusion that packs use for files."""

from safelight.shims.absent import submodules

__getattr__ = submodules("comfy.k_diffusion")
