"""Placeholders for what ComfyUI has and this server does not: importable, so that packs load, and an error on use."""

import importlib
from abc import ABCMeta
from collections.abc import Callable
from types import ModuleType
from typing import Any


class NotSupported(RuntimeError):
    """A pack used a part of ComfyUI that this server does not have."""


class _AbsentType(ABCMeta):
    """The type of placeholders: they can be named, subclassed and compared, but not called."""

    absent_name: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupported(f"{cls.absent_name} is a part of ComfyUI's own engine that this server does not have")

    def __getattr__(cls, name: str) -> Any:
        if name == "FUNCTION":  # read from nodes: a pack's subclass of an absent node fails with the right message
            cls()
        return absent(_named(cls.absent_name, name))


def absent(name: str) -> Any:
    """Return a placeholder such as ``comfy.sd.VAE``: a class, as packs subclass these and use them in
    ``isinstance``."""
    return _AbsentType(name.rpartition(".")[2], (), {"absent_name": name})


def absent_attributes(module: str, *, prefix: str = "safelight.shims.modules.") -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that returns a placeholder for every name that the module does not define."""
    shown = module.removeprefix(prefix)
    return lambda name: absent(_named(shown, name))


def submodules(package: str) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` that imports its submodules on use, under the names that packs know."""

    def __getattr__(name: str) -> Any:
        return importlib.import_module(_named(package, name))

    return __getattr__


class AbsentModule(ModuleType):
    """A module of placeholders only."""

    def __getattr__(self, name: str) -> Any:
        return absent(_named(self.__name__, name))


def _named(owner: str, name: str) -> str:
    """Return the full name. Raises :class:`AttributeError` for dunder names, which Python itself looks up."""
    if name.startswith("__"):
        raise AttributeError(f"{owner} has no attribute {name!r}")
    return f"{owner}.{name}"
