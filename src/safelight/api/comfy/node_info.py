"""The body of ``/api/object_info``, encoded and compressed once for each change.

Combos of the user's own files (``LoadImage``) differ between users, so each user has a body; the most recently used
bodies are cached. A body changes with the catalogue, the model files, and the user's uploads.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from safelight.api.comfy.object_info import node_info
from safelight.api.comfy.revisions import Revisions
from safelight.bus.bus import Bus
from safelight.core.asset import Asset, Folder
from safelight.core.engine_kind import EngineKind
from safelight.core.event import AccessChanged, Event, EventsMissed, FilesChanged
from safelight.core.ids import UserId
from safelight.core.node import Catalogue, InputSchema, NodeSchema
from safelight.core.upload_mark import UploadMark, upload_mark
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.services import named_files
from safelight.services.catalogue import LiveCatalogue

ENCODINGS = ("zstd", "br", "gzip")
"""In the server's order of preference: the fastest to decompress first."""
KEPT_OWNERS = 16
"""Users whose bodies are cached."""
MOST_FILES = 5000
"""Files of one user in a combo, the newest."""


@dataclass(frozen=True, slots=True)
class Body:
    etag: str
    encodings: dict[str, bytes] = field(default_factory=dict)


class NodeInfoBodies:
    """Mutable: the latest bodies by owner. A ``FilesChanged`` event makes an owner's body stale."""

    def __init__(self, db: Database, catalogue: LiveCatalogue, bus: Bus) -> None:
        self._db = db
        self._catalogue = catalogue
        self._uploads = Revisions()
        self._bodies: OrderedDict[UserId, tuple[tuple[str, int], Body]] = OrderedDict()
        self._lock = asyncio.Lock()
        bus.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, FilesChanged):
            self._uploads.increment(event.owner_id)
        elif isinstance(event, EventsMissed | AccessChanged):  # a command may have added files of a user
            self._bodies.clear()

    async def get(self, who: Principal, *, encoding: str) -> tuple[str, bytes]:
        """The ETag and the body in that encoding (``identity`` or one of :data:`ENCODINGS`)."""
        body = self._current(who.user_id)
        if body is None or encoding not in body.encodings:
            async with self._lock:  # one request makes the body, the others wait for it
                body = self._current(who.user_id) or await self._make(who)
                if encoding not in body.encodings:
                    made = await asyncio.to_thread(_compress, body.encodings["identity"], encoding)
                    body.encodings[encoding] = made
        return f'"{body.etag}-{encoding}"', body.encodings[encoding]

    async def catalogue_of(self, who: Principal, names: Sequence[str] | None = None) -> Catalogue:
        """The nodes (or those of ``names`` that exist) with the owner's files in their combos."""
        catalogue = self._catalogue.current
        chosen = catalogue if names is None else {name: catalogue[name] for name in names if name in catalogue}
        marks = {mark for node in chosen.values() for i in node.inputs if (mark := _file_mark(i)) is not None}
        if not marks:
            return chosen
        files = await self._db.read(lambda tx: named_files.list_files(tx, who, folder=Folder.INPUT, limit=MOST_FILES))
        offered = {mark: _names(files, mark) for mark in marks}
        return {name: _filled(node, offered) for name, node in chosen.items()}

    def _current(self, owner: UserId) -> Body | None:
        found = self._bodies.get(owner)
        if found is None or found[0] != self._version(owner):
            return None
        self._bodies.move_to_end(owner)
        return found[1]

    def _version(self, owner: UserId) -> tuple[str, int]:
        return self._catalogue.version, self._uploads.of(owner)

    async def _make(self, who: Principal) -> Body:
        version = self._version(who.user_id)
        catalogue = await self.catalogue_of(who)
        engines = {name: self._catalogue.engines_with(name) for name in catalogue}
        text = await asyncio.to_thread(_encode, catalogue, engines)
        body = Body(hashlib.blake2b(text, digest_size=16).hexdigest(), {"identity": text})
        self._bodies[who.user_id] = (version, body)
        while len(self._bodies) > KEPT_OWNERS:
            self._bodies.popitem(last=False)
        return body


def _encode(catalogue: Catalogue, engines: Mapping[str, Sequence[EngineKind]]) -> bytes:
    return msgspec.json.encode({name: node_info(schema, engines[name]) for name, schema in catalogue.items()})


def _compress(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(body)
    if encoding == "br":
        import brotli

        return bytes(brotli.compress(body, quality=5))
    import gzip

    return gzip.compress(body, compresslevel=6, mtime=0)


def _filled(node: NodeSchema, offered: Mapping[UploadMark, Sequence[str]]) -> NodeSchema:
    if not any(_file_mark(i) for i in node.inputs):
        return node
    return replace(node, inputs=tuple(_filled_input(i, offered) for i in node.inputs))


def _filled_input(declared: InputSchema, offered: Mapping[UploadMark, Sequence[str]]) -> InputSchema:
    mark = _file_mark(declared)
    if mark is None:
        return declared
    own = declared.options or []
    options = [*own, *(name for name in offered[mark] if name not in own)]
    return replace(declared, config={**declared.config, "options": options})


def _file_mark(declared: InputSchema) -> UploadMark | None:
    """The client itself fills a combo with a ``remote``, from the URL that this names."""
    return None if declared.config.get("remote") else upload_mark(declared)


def _names(files: Sequence[Asset], mark: UploadMark) -> list[str]:
    return sorted({name for asset in files if asset.file is not None and (name := mark.choice(asset.file)) is not None})
