"""An alias of ``latest``."""

from safelight.shims.modules.comfy_api.latest import *  # noqa: F403
