"""Bytes to arrays and back: pictures, video, sound and their metadata; no torch."""
