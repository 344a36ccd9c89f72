"""ComfyUI's extra nodes. Every submodule can be imported: ``from comfy_extras.nodes_mask import MaskComposite`` returns
the node of that name, if this server has it."""

import importlib
from types import ModuleType
from typing import Any

from safelight.shims.absent import look_up, submodules

__getattr__ = submodules("comfy_extras")


def node(module: str, name: str) -> Any:
    """Return the node of that name; a placeholder where this server does not have it."""
    mappings = importlib.import_module("nodes").NODE_CLASS_MAPPINGS
    return mappings[name] if name in mappings else look_up(module, name)


class NodesModule(ModuleType):
    """A submodule without a file of its own."""

    def __getattr__(self, name: str) -> Any:
        return node(self.__name__, name)
