"""The interface to nodes in V3 form. ``latest`` is the one there is; versions that packs name are the same."""
