"""The module names that existing node packs import (``nodes``, ``folder_paths``, ``comfy.*``, ``comfy_api.*`` ...).

They exist in the worker process only, from :func:`~safelight.shims.install.install` on, and are backed by our own
``sdk`` and ``nodes``. What a pack would import lies in ``modules/``; beside it is what makes it work. Nothing here
imports torch until a pack asks for a module that needs it.
"""
