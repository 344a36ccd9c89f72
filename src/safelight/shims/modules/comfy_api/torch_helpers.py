"""Compilation of models: absent."""

from safelight.shims.absent import absent_attributes

__getattr__ = absent_attributes(__name__)
