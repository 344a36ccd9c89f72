"""Makes the modules of ``shims/modules`` importable under the names that packs use.

A finder, rather than entries in ``sys.modules``: a worker without packs pays nothing, and torch is imported only by the
modules that need it. Other submodules of ``comfy`` and ``comfy_extras`` are *absent* modules: a pack that only imports
them loads, and their contents raise an error that says what is missing when they are used.
"""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from safelight.shims import modules
from safelight.shims.absent import AbsentModule
from safelight.shims.modules.comfy_extras import NodesModule
from safelight.worker.context import worker_context

PREFIX = modules.__name__ + "."

_OPEN = ("comfy", "comfy_extras")
"""Packages of which every submodule can be imported."""


class ShimFinder(MetaPathFinder):
    def __init__(self) -> None:
        self.roots = {info.name for info in pkgutil.iter_modules(modules.__path__)}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = fullname.partition(".")[0]
        if root not in self.roots:
            return None
        try:
            found = importlib.util.find_spec(PREFIX + fullname)
        except ModuleNotFoundError:  # a parent is an absent module
            found = None
        if found is not None:
            return ModuleSpec(fullname, _AliasLoader(), is_package=found.submodule_search_locations is not None)
        return ModuleSpec(fullname, _AbsentLoader(), is_package=True) if root in _OPEN else None


class _AliasLoader(Loader):
    """Returns the module of ``shims/modules`` itself, so that it exists once under both names."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(PREFIX + spec.name)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import system has replaced it by the alias's


class _AbsentLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = NodesModule(spec.name) if spec.name.startswith("comfy_extras.") else AbsentModule(spec.name)
        module.__file__ = str(worker_context().workspace.root / f"{spec.name.replace('.', '/')}.py")
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to execute."""


def install() -> None:
    """Make the modules importable in this process; what they show is the worker context's."""
    if not any(isinstance(finder, ShimFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, ShimFinder())
