"""Placeholders for what ComfyUI has and this server does not: importable, so that packs load, and an error on use.

A placeholder stands for a name that a pack imports, or that ComfyUI has (``comfyui_names.json``: the names in modules
of versions 0.3.64 and 0.8.0). A pack that *tests* for an absent name is told that it is absent.
"""

import importlib
import importlib.resources
import json
import logging
from abc import ABCMeta
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from safelight.shims.asked import IMPORT_SYSTEM, Asked, asked

log = logging.getLogger(__name__)

_PARTS = {
    "comfy_extras": "own nodes",
    "comfy.extra_samplers": "samplers",
    "comfy.k_diffusion": "samplers",
    "comfy.sample": "samplers",
    "comfy.sampler_helpers": "samplers",
    "comfy.samplers": "samplers",
    "execution": "executor",
    "latent_preview": "samplers",
    "nodes": "own nodes",
}
"""What a pack needs that uses an absent part of a module; other modules belong to ComfyUI's models."""


class NotSupported(RuntimeError):
    """A pack used a part of ComfyUI that this server does not have."""


class _AbsentType(ABCMeta):
    """The type of placeholders: they can be named, subclassed and compared, but not called."""

    absent_name: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotSupported(reason(cls.absent_name))

    def __getattr__(cls, name: str) -> Any:
        if name == "FUNCTION":  # read from nodes: a pack's subclass of an absent node fails with the right message
            cls()
        return absent(_named(cls.absent_name, name))


def reason(name: str) -> str:
    """Why ``name``, such as ``comfy.sd.VAE``, cannot be used here."""
    module = name
    while module and module not in _PARTS:
        module = module.rpartition(".")[0]
    return f"{name} needs ComfyUI's {_PARTS.get(module, 'models')}; runs on a ComfyUI engine"


def absent(name: str) -> Any:
    """Return a placeholder such as ``comfy.sd.VAE``: a class, as packs subclass these and use them in
    ``isinstance``."""
    return _AbsentType(name.rpartition(".")[2], (), {"absent_name": name})


def absent_attributes(module: str, *, prefix: str = "safelight.shims.modules.") -> Callable[[str], Any]:
    """Return a module's ``__getattr__``, called for every name that the module does not define."""
    shown = module.removeprefix(prefix)
    return lambda name: look_up(shown, name)


def submodules(package: str) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` that imports its submodules on use, under the names that packs know."""

    def __getattr__(name: str) -> Any:
        full = _named(package, name)
        known = _known(package)
        if known is not None and name not in known:
            how, asker = asked()
            if how is not Asked.IMPORT:
                raise _no_attribute(package, name, asker)
        return importlib.import_module(full)

    return __getattr__


class AbsentModule(ModuleType):
    """A module of placeholders only."""

    def __getattr__(self, name: str) -> Any:
        return look_up(self.__name__, name)


def look_up(module: str, name: str) -> Any:
    """Return a placeholder. Raises :class:`AttributeError` for a name that the pack only tests for, and for one that
    ComfyUI does not have either."""
    full = _named(module, name)
    how, asker = asked()
    known = _known(module)
    if how is Asked.TEST or (how is Asked.USE and known is not None and name not in known):
        raise _no_attribute(module, name, asker)
    if known is not None and name not in known and asker != IMPORT_SYSTEM:  # which asks before the pack does
        _report(full, asker)
    return absent(full)


def _no_attribute(module: str, name: str, asker: str) -> AttributeError:
    _report(f"{module}.{name}", asker)
    return AttributeError(f"module {module!r} has no attribute {name!r}")


@cache
def _report(name: str, asker: str) -> None:
    log.warning("%s asked for %s, which this server does not have", asker, name)


@cache
def _known(module: str) -> frozenset[str] | None:
    """The names that ComfyUI has in this module; ``None`` if they are not listed."""
    names = _listed().get(module)
    return None if names is None else frozenset(names.split())


@cache
def _listed() -> dict[str, str]:
    listed: dict[str, str] = json.loads(
        importlib.resources.files(__package__).joinpath("comfyui_names.json").read_text()
    )
    return listed


def _named(owner: str, name: str) -> str:
    """Return the full name. Raises :class:`AttributeError` for dunder names, which Python itself looks up."""
    if name.startswith("__"):
        raise AttributeError(f"{owner} has no attribute {name!r}")
    return f"{owner}.{name}"
