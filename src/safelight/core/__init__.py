"""Nouns and rules of the domain, in the standard library alone: no I/O, no framework, no torch."""
