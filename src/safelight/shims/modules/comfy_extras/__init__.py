"""ComfyUI's extra nodes. Every submodule can be imported: ``from comfy_extras.nodes_mask import MaskComposite`` returns
the node of that name, if this server has it."""

import importlib
from types import ModuleType
from typing import Any

from safelight.shims.absent import submodules

__getattr__ = submodules("comfy_extras")


def node(name: str) -> Any:
    """A submodule's ``__getattr__``."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module("nodes"), name)


class NodesModule(ModuleType):
    """A submodule without a file of its own."""

    def __getattr__(self, name: str) -> Any:
        return node(name)
