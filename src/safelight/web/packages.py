"""Finds the installed packages of the web UI, with their folders and versions, without importing them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

FRONTEND = "comfyui-frontend-package"
TEMPLATES = "comfyui-workflow-templates"
DOCS = "comfyui-embedded-docs"
BLUEPRINTS = "comfyui-subgraph-blueprints"

_TEMPLATE_MODULES = tuple(
    f"comfyui_workflow_templates_{part}"
    for part in (
        "json",
        "media_api",
        "media_assets_01",
        "media_assets_02",
        "media_image",
        "media_other",
        "media_video",
    )
)


@dataclass(frozen=True, slots=True)
class Packages:
    """The folders of the packages; ``None`` or ``()`` if one is not installed. ``versions``: by package name."""

    frontend: Path | None = None
    templates: tuple[Path, ...] = ()
    docs: Path | None = None
    blueprints: Path | None = None
    versions: Mapping[str, str] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        folders = {
            FRONTEND: self.frontend,
            TEMPLATES: self.templates,
            DOCS: self.docs,
            BLUEPRINTS: self.blueprints,
        }
        return tuple(name for name, folder in folders.items() if not folder)

    def version(self, package: str) -> str | None:
        return (self.versions or {}).get(package)


def find_packages() -> Packages:
    """Look for the packages in this Python environment."""
    return Packages(
        frontend=_folder("comfyui_frontend_package", "static"),
        templates=tuple(folder for module in _TEMPLATE_MODULES if (folder := _folder(module, "templates")) is not None),
        docs=_folder("comfyui_embedded_docs", "docs"),
        blueprints=_folder("comfyui_subgraph_blueprints", "blueprints"),
        versions={
            name: found for name in (FRONTEND, TEMPLATES, DOCS, BLUEPRINTS) if (found := _version(name)) is not None
        },
    )


def _folder(module: str, name: str) -> Path | None:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / name
    return folder.resolve() if folder.is_dir() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
