"""Find the nodes that this process can run: the library's packages, and node packs in custom node folders.

If a module or a pack cannot be imported, only its own nodes are missing; the reason is reported to the server.
"""

import importlib
import importlib.util
import inspect
import pkgutil
import runpy
import site
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from safelight.core.node import NodeSchema
from safelight.runtime.import_journal import LoadJournal
from safelight.sdk.node import Node
from safelight.sdk.plain import plain_text
from safelight.sdk.registry import nodes_of
from safelight.sdk.v1 import adapt
from safelight.shims.extension import has_entrypoint
from safelight.shims.extension import nodes_of as nodes_of_extension
from safelight.shims.input_listing import remove_probes, without_probes
from safelight.shims.install import install
from safelight.shims.pack_caller import importing_pack
from safelight.shims.registered import added_classes, added_web_directories, refresh_mappings
from safelight.worker.context import WorkerContext

PACKS = "custom_nodes"
"""The package under which packs are imported; ``python_module`` of their nodes starts with it, as in ComfyUI."""


@dataclass
class Library:
    """Mutable while it is filled. ``failed``: why modules and packs are missing, by name; ``web_directories``: by
    pack."""

    nodes: dict[str, type[Node]] = field(default_factory=dict)
    catalogue: dict[str, NodeSchema] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    web_directories: dict[str, str] = field(default_factory=dict)

    def add(self, node: type[Node], schema: NodeSchema, *, source: str) -> None:
        """Add a node, unless its name is taken: a pack cannot replace a built-in node, or one of an earlier pack."""
        if schema.name in self.nodes:
            self.failed.setdefault(source, f"a node {schema.name!r} already exists")
            return
        self.nodes[schema.name] = node
        self.catalogue[schema.name] = schema


def load(packages: Sequence[str], worker: WorkerContext, *, journal: LoadJournal | None = None) -> Library:
    """Import ``packages`` and the node packs of ``worker``, whose ``nodes`` are the loaded ones from then on.

    Never raises for what a module does; ``journal`` records a pack that ends the process."""
    library = Library()
    worker.nodes = library.nodes
    for name in packages:
        _load_package(library, name)
    folders = [folder for folder in worker.custom_nodes if folder.is_dir()]
    if folders:
        parent = ModuleType(PACKS)
        parent.__path__ = [str(folder) for folder in folders]
        sys.modules[PACKS] = parent
        install()
    packs = [path for folder in folders for path in sorted(folder.iterdir()) if _is_pack(path)]
    for path in packs:
        _run_prestartup(library, path)
    for path in packs:
        _load_pack(library, path, journal)
    if worker.has_workspace:
        remove_probes(worker.workspace)
    if journal is not None:
        journal.finish()
    return library


def search_libraries(folder: Path) -> None:
    """Let packs import the libraries in ``folder``, if it exists. Those of Safelight's own environment come first."""
    if folder.is_dir():
        site.addsitedir(str(folder))


def _load_package(library: Library, name: str) -> None:
    try:
        module = importlib.import_module(name)
        for node in nodes_of(module):
            library.add(node, node.node_schema(), source=name)
    except (Exception, SystemExit) as error:
        _report(library, name, error)
        return
    for info in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        _load_package(library, info.name)


def _is_pack(path: Path) -> bool:
    if path.name.startswith((".", "_")) or path.name.endswith(".disabled"):
        return False
    return path.suffix == ".py" if path.is_file() else (path / "__init__.py").is_file()


def _run_prestartup(library: Library, path: Path) -> None:
    """Run the script that a pack has for before any pack is imported."""
    script = path / "prestartup_script.py"
    if not script.is_file():
        return
    try:
        with _importing(path.name):
            runpy.run_path(str(script), run_name="prestartup_script")
    except (Exception, SystemExit) as error:
        _report(library, f"{path.name}: prestartup_script", error)


def _load_pack(library: Library, path: Path, journal: LoadJournal | None) -> None:
    name = path.stem if path.is_file() else path.name
    before = len(library.nodes)
    try:
        with nullcontext() if journal is None else journal.importing(name), _importing(name):
            module = _import_pack(path, name)
        web = getattr(module, "WEB_DIRECTORY", None)
        if web is not None and (path / web).is_dir():
            library.web_directories[name] = str((path / web).resolve())
        sources = [*_classes_of_pack(module), *added_classes()]
        library.web_directories |= added_web_directories()
    except (Exception, SystemExit) as error:
        _report(library, name, error)
        return
    for node_id, source, display_name in sources:
        try:
            with _importing(name):
                node, schema = _node_of(source, node_id, display_name, pack=name)
            library.add(node, without_probes(schema), source=name)
        except (Exception, SystemExit) as error:
            _report(library, f"{name}: {node_id or source.__name__}", error)
    refresh_mappings()
    if len(library.nodes) == before and name not in library.web_directories:
        library.failed.setdefault(name, "it defines no nodes")


@contextmanager
def _importing(pack: str) -> Iterator[None]:
    """Attribute what is added to the server meanwhile to ``pack``."""
    token = importing_pack.set(pack)
    try:
        yield
    finally:
        importing_pack.reset(token)


def _node_of(
    source: type, node_id: str | None, display_name: str | None, *, pack: str
) -> tuple[type[Node], NodeSchema]:
    """Return a class as a node. ``node_id``: the name that the pack lists it under; a V1 class has no other."""
    node = source if issubclass(source, Node) else adapt(source, node_id=node_id or source.__name__)
    schema = node.node_schema()
    shown = display_name or (schema.display_name if issubclass(source, Node) else node_id or schema.display_name)
    return node, replace(schema, name=node_id or schema.name, display_name=shown, module=f"{PACKS}.{pack}")


def _import_pack(path: Path, name: str) -> ModuleType:
    module_name = f"{PACKS}.{name.replace('.', '_')}"
    file = path if path.is_file() else path / "__init__.py"
    places = None if path.is_file() else [str(path)]
    spec = importlib.util.spec_from_file_location(module_name, file, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _classes_of_pack(module: ModuleType) -> Iterator[tuple[str | None, type, str | None]]:
    """Yield id, class and display name of the nodes that ``NODE_CLASS_MAPPINGS`` lists, else of ``comfy_entrypoint``,
    else of the ``sdk`` nodes in the pack's modules."""
    mappings: Mapping[Any, type] | None = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if mappings is None and has_entrypoint(module):
        for node in nodes_of_extension(module):
            yield None, node, None
        return
    if mappings is None:
        for value in list(vars(module).values()):
            if inspect.isclass(value) and issubclass(value, Node) and value.__module__.startswith(module.__name__):
                yield None, value, None
        return
    display_names: Mapping[Any, Any] = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None) or {}
    for key, source in mappings.items():
        shown = display_names.get(key)
        yield plain_text(key), source, plain_text(shown) if shown is not None else None


def _report(library: Library, name: str, error: BaseException) -> None:
    library.failed[name] = f"{type(error).__name__}: {error}"
    traceback.print_exception(error)
