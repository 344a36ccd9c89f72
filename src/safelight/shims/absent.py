"""What ComfyUI has and this server does not: importable, so that packs load, and an error as soon as it is used."""

import importlib
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any


class NotSupported(RuntimeError):
    """A pack used a part of ComfyUI that this server does not have."""


class _AbsentType(ABCMeta):
    """The type of absent things: they can be named, subclassed and compared, but not called."""

    absent_name: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupported(f"{cls.absent_name} is a part of ComfyUI's own engine that this server does not have")

    def __getattr__(cls, name: str) -> Any:
        if name == "FUNCTION":  # asked of nodes, so that a pack's subclass of an absent node is told to be that
            cls()
        return absent(_named(cls.absent_name, name))


def absent(name: str) -> Any:
    """Something called ``comfy.sd.VAE``: a class, as packs subclass these and ask ``isinstance`` of them."""
    return _AbsentType(name.rpartition(".")[2], (), {"absent_name": name})


def absent_attributes(module: str, *, prefix: str = "safelight.shims.modules.") -> Callable[[str], Any]:
    """A module's ``__getattr__`` that gives an absent thing for every name that the module does not define."""
    shown = module.removeprefix(prefix)
    return lambda name: absent(_named(shown, name))


def submodules(package: str) -> Callable[[str], Any]:
    """A package's ``__getattr__`` that imports its submodules, under the name that packs know, when they are used."""

    def __getattr__(name: str) -> Any:
        return importlib.import_module(_named(package, name))

    return __getattr__


class AbsentModule(ModuleType):
    """A module of which all is absent."""

    def __getattr__(self, name: str) -> Any:
        return absent(_named(self.__name__, name))


def _named(owner: str, name: str) -> str:
    """Python itself asks for names with underscores, and must hear that they are not there."""
    if name.startswith("__"):
        raise AttributeError(f"{owner} has no attribute {name!r}")
    return f"{owner}.{name}"
