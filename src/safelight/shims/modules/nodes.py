"""All nodes of this process as V1 classes, by id and as attributes: ``nodes.NODE_CLASS_MAPPINGS["LoadImage"]()``.

Other nodes of ComfyUI are absent.
"""

from typing import Any

from safelight.nodes.sampling.ksampler import common_ksampler
from safelight.shims.absent import absent_attributes
from safelight.shims.images import PreviewImage, SaveImage
from safelight.shims.mappings import NodeClassMappings
from safelight.shims.modules.comfy.model_management import (
    interrupt_current_processing,
    throw_exception_if_processing_interrupted,
)
from safelight.worker.context import worker_context

__file__ = str(worker_context().workspace.root / "nodes.py")  # packs look beside it for ComfyUI's folders

MAX_RESOLUTION = 16384

NODE_CLASS_MAPPINGS = NodeClassMappings({"SaveImage": SaveImage, "PreviewImage": PreviewImage})
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
EXTENSION_WEB_DIRS: dict[str, str] = {}
LOADED_MODULE_DIRS: dict[str, str] = {}

before_node_execution = throw_exception_if_processing_interrupted
interrupt_processing = interrupt_current_processing

_absent = absent_attributes(__name__)


def __getattr__(name: str) -> Any:
    return NODE_CLASS_MAPPINGS[name] if name in NODE_CLASS_MAPPINGS else _absent(name)


__all__ = [
    "EXTENSION_WEB_DIRS",
    "MAX_RESOLUTION",
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
    "common_ksampler",
]
