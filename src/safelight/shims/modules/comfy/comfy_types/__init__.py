"""Names for type checkers in V1 nodes."""

from typing import Any

from safelight.shims.modules.comfy.comfy_types.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    FileLocator,
    InputTypeDict,
)

UnetApplyFunction = UnetApplyConds = UnetParams = UnetWrapperFunction = Any

__all__ = ["IO", "CheckLazyMixin", "ComfyNodeABC", "FileLocator", "InputTypeDict"]
