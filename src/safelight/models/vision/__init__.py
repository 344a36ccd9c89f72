"""Encoders of pictures, for conditions."""
