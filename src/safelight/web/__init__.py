"""The web UI: ComfyUI's own frontend, its templates, node help and blueprints, served from their installed packages.

Knows no API: :class:`~safelight.web.site.Web` answers every path that is not one, and gives the few API answers that
come from these packages.
"""
