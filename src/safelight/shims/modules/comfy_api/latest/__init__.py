"""What V3 packs import: ``from comfy_api.latest import ComfyExtension, io, ui``."""

from safelight.shims.modules.comfy_api.latest import _input as Input
from safelight.shims.modules.comfy_api.latest import _input_impl as InputImpl
from safelight.shims.modules.comfy_api.latest import _io as io
from safelight.shims.modules.comfy_api.latest import _ui as ui
from safelight.shims.modules.comfy_api.latest import _util as Types
from safelight.shims.modules.comfy_api.latest._api import ComfyAPI, ComfyAPISync, ComfyExtension
from safelight.shims.modules.comfy_api.latest._input_impl import VideoFromComponents, VideoFromFile

IO = io
UI = ui
ComfyAPI_latest = ComfyAPI

__all__ = [
    "IO",
    "UI",
    "ComfyAPI",
    "ComfyAPISync",
    "ComfyAPI_latest",
    "ComfyExtension",
    "Input",
    "InputImpl",
    "Types",
    "VideoFromComponents",
    "VideoFromFile",
    "io",
    "ui",
]
