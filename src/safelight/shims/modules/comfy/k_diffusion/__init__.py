"""Sampling by differential equations; of it only what packs use for files is here."""

from safelight.shims.absent import submodules

__getattr__ = submodules("comfy.k_diffusion")
