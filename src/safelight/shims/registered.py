"""What packs register besides what they declare: nodes and web folders that they put into the module ``nodes``, and
routes that they add to ``server.PromptServer.instance``.

Both are read from the modules, which Python keeps per process (``sys.modules``); if no pack has imported a module, it
has nothing registered.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from safelight.sdk.plain import plain_text
from safelight.shims.install import PREFIX


def added_classes() -> Iterator[tuple[str, type, str | None]]:
    """Yield id, class and display name of each class that was added since the last call."""
    nodes = _nodes()
    if nodes is not None:
        for key, source in nodes.NODE_CLASS_MAPPINGS.added().items():
            shown = nodes.NODE_DISPLAY_NAME_MAPPINGS.get(key)
            yield plain_text(key), source, plain_text(shown) if shown is not None else None


def added_web_directories() -> dict[str, str]:
    nodes = _nodes()
    added = nodes.EXTENSION_WEB_DIRS if nodes is not None else {}
    return {str(name): str(Path(path).resolve()) for name, path in added.items() if Path(path).is_dir()}


def refresh_mappings() -> None:
    """Let packs see the nodes that were loaded since the last call."""
    nodes = _nodes()
    if nodes is not None:
        nodes.NODE_CLASS_MAPPINGS.refresh()


def take_routes() -> list[Any]:
    """Return the ``server.Route`` values in the order in which packs added them. Packs cannot add others from then
    on."""
    server = sys.modules.get(f"{PREFIX}server")
    if server is None:
        return []
    server.PromptServer.instance.app.router.frozen = True
    return list(server.PromptServer.instance.routes.collected)


def run_routes_in(loop: asyncio.AbstractEventLoop) -> None:
    """Let packs see the event loop that their routes run in."""
    sys.modules[f"{PREFIX}server"].PromptServer.instance.loop = loop


def _nodes() -> ModuleType | None:
    return sys.modules.get(f"{PREFIX}nodes")
