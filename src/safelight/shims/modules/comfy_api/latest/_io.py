"""The public names of ``io``: types, dynamic inputs, schemas and nodes."""

from safelight.shims.modules.comfy_api.latest._io_dynamic import Autogrow, DynamicCombo, MatchType, MultiType
from safelight.shims.modules.comfy_api.latest._io_node import (
    ComfyNode,
    Hidden,
    NodeOutput,
    PriceBadge,
    PriceBadgeDepends,
    Schema,
)
from safelight.shims.modules.comfy_api.latest._io_types import *  # noqa: F403
from safelight.shims.modules.comfy_api.latest._io_types import (
    Combo,
    ComfyTypeI,
    ComfyTypeIO,
    ControlAfterGenerate,
    Custom,
    FolderType,
    NumberDisplay,
    RemoteOptions,
    UploadType,
    comfytype,
)

HiddenHolder = Hidden

__all__ = [
    "Autogrow",
    "Combo",
    "ComfyNode",
    "ComfyTypeI",
    "ComfyTypeIO",
    "ControlAfterGenerate",
    "Custom",
    "DynamicCombo",
    "FolderType",
    "Hidden",
    "MatchType",
    "MultiType",
    "NodeOutput",
    "NumberDisplay",
    "PriceBadge",
    "PriceBadgeDepends",
    "RemoteOptions",
    "Schema",
    "UploadType",
    "comfytype",
]
