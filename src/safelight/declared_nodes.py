"""The nodes and packs that engines declare, as this server keeps them: in memory, on disk for the next start, and in
the web UI. One catalogue for each engine kind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from safelight.bus.bus import Bus
from safelight.comfyui.installation import version_of
from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineKind, EngineSpec
from safelight.core.errors import Unavailable
from safelight.core.event import Event, EventsMissed, NodesChanged
from safelight.db.engine import Database
from safelight.services import kept_catalogue
from safelight.services import node as node_service
from safelight.services.catalogue import LiveCatalogue
from safelight.settings import Settings
from safelight.web.packs import Packs, read_packs, united
from safelight.web.site import Web
from safelight.wire.messages import Ready

log = logging.getLogger(__name__)

_COMFYUI_CODE = ("comfy_extras", "comfy_api_nodes", "custom_nodes")
"""The folders of a ComfyUI that declare nodes, besides its version."""


class DeclaredNodes:
    """Mutable: the packs of each engine kind, and the warnings that were logged."""

    def __init__(self, settings: Settings, catalogue: LiveCatalogue, web: Web) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._web = web
        self._specs: Mapping[EngineKind, EngineSpec] = {spec.kind: spec for spec in settings.engine_specs}
        self._packs: dict[EngineKind, Packs] = {}
        self._warned: set[str] = set()

    async def restore(self, db: Database) -> None:
        """Publish what engines of the same code have declared before. Of an engine whose code has changed, the nodes
        are known when its first worker is ready."""
        stored = await db.read(node_service.load_latest)
        for engine in self._catalogue.engines:
            kept = await asyncio.to_thread(kept_catalogue.load, self._file(engine))
            if kept is not None and kept.fingerprint == await asyncio.to_thread(self._fingerprint, engine):
                self._catalogue.publish(engine, kept.nodes, digest=kept.digest)
            elif kept is None and engine in stored:
                self._catalogue.publish(engine, stored[engine].nodes, digest=stored[engine].digest)

    def on_ready(self, engine: EngineKind, ready: Ready, digest: Digest) -> None:
        """An engine of that kind is ready."""
        self._catalogue.publish(engine, ready.nodes, digest=digest)
        asyncio.get_running_loop().run_in_executor(None, self._keep, engine, ready, digest)
        folders = self._settings.pack_folders(self._specs[engine])
        self._packs[engine] = read_packs(folders, web_directories=ready.web_directories)
        self._web.use_packs(united(self._packs[each] for each in self._catalogue.engines if each in self._packs))
        for sentence in set(ready.unkept_rules):
            self._warn(f"workers are less confined than they should be; {sentence}")
        for sentence in ready.lacks:
            self._warn(f"the engine {engine} is used in part only: {sentence}")
        for pack, reason in ready.failed_packs.items():
            log.warning("the node pack %s of the engine %s could not be imported: %s", pack, engine, reason)

    async def follow(self, db: Database, bus: Bus) -> None:
        """Load the nodes of workers that another server has."""
        changed = asyncio.Event()
        declared: dict[EngineKind, str] = {}  # the digests that were declared last; empty if some may have been missed

        def hear(event: Event) -> None:
            if isinstance(event, NodesChanged):
                declared[event.engine] = event.digest
            elif isinstance(event, EventsMissed):
                declared.clear()
            else:
                return
            changed.set()

        bus.subscribe(hear)
        changed.set()  # nodes may have been declared while this server started
        while True:
            await changed.wait()
            changed.clear()
            if declared and all(digest == self._catalogue.digest(engine) for engine, digest in declared.items()):
                continue
            try:
                stored = await db.read(node_service.load_latest)
            except Unavailable:
                await asyncio.sleep(1)
                changed.set()
            else:
                for engine, latest in stored.items():
                    if latest.digest != self._catalogue.digest(engine):
                        self._catalogue.publish(engine, latest.nodes, digest=latest.digest)

    def _warn(self, sentence: str) -> None:
        """Log a sentence once: every engine of a kind says the same."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            log.warning("%s", sentence)

    def _file(self, engine: EngineKind) -> Path:
        return self._settings.server.data_dir / "cache" / f"nodes-{engine}.msgpack"

    def _fingerprint(self, engine: EngineKind) -> str:
        """Blocks."""
        spec = self._specs[engine]
        if spec.is_own:
            return kept_catalogue.fingerprint_of(self._settings.packs.custom_nodes, self._settings.packs.node_packages)
        root = Path(spec.root).expanduser()
        folders = [root / name for name in _COMFYUI_CODE]
        return kept_catalogue.fingerprint_of(folders, [spec.python, version_of(root)])

    def _keep(self, engine: EngineKind, ready: Ready, digest: Digest) -> None:
        try:
            kept = kept_catalogue.KeptCatalogue(self._fingerprint(engine), digest, ready.nodes)
            kept_catalogue.keep(self._file(engine), kept)
        except OSError as error:
            log.warning("the catalogue of nodes could not be stored for the next start: %s", error)
