"""The body of ``/api/object_info``, made once and compressed once, as often as it changes.

It is the same for all but for combos of the user's own files (``LoadImage``), so that there is one for each owner,
the latest used ones kept. It changes with the catalogue, with the model files, and with the owner's uploads.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from safelight.api.comfy.object_info import node_info
from safelight.bus.bus import Bus
from safelight.core.asset import Asset, Folder
from safelight.core.event import Event, EventsMissed, FilesChanged
from safelight.core.ids import UserId
from safelight.core.node import Catalogue, InputSchema, NodeSchema
from safelight.core.output import kind_of_file
from safelight.core.user import Principal
from safelight.db.engine import Database
from safelight.services import asset as assets
from safelight.services.catalogue import LiveCatalogue

ENCODINGS = ("zstd", "br", "gzip")
"""In the server's order of preference: the quickest to undo first."""
KEPT_OWNERS = 16
MOST_FILES = 5000
"""Of an owner, the newest ones, in a combo."""

_KINDS: Mapping[str, frozenset[str]] = {
    "image_upload": frozenset({"image"}),
    "video_upload": frozenset({"video"}),
    "audio_upload": frozenset({"audio", "video"}),
    "file_upload": frozenset({"3d"}),
}
"""Which files a combo offers, by the mark that its author gave it."""


@dataclass(frozen=True, slots=True)
class Body:
    etag: str
    encodings: dict[str, bytes] = field(default_factory=dict)


class NodeInfoBodies:
    """Mutable: the latest bodies by owner. Whoever changes an owner's files says so with :meth:`forget`."""

    def __init__(self, db: Database, catalogue: LiveCatalogue, bus: Bus) -> None:
        self._bus = bus
        self._db = db
        self._catalogue = catalogue
        self._uploads: dict[UserId, int] = {}
        self._bodies: OrderedDict[UserId, tuple[tuple[str, int], Body]] = OrderedDict()
        self._lock = asyncio.Lock()
        bus.subscribe(self._hear)

    def forget(self, owner: UserId) -> None:
        """The owner's files have changed."""
        self._bus.publish([FilesChanged(owner)])

    def _hear(self, event: Event) -> None:
        if isinstance(event, FilesChanged):
            self._uploads[event.owner_id] = self._uploads.get(event.owner_id, 0) + 1
        elif isinstance(event, EventsMissed):
            self._bodies.clear()

    async def get(self, who: Principal, *, encoding: str) -> tuple[str, bytes]:
        """The ETag and the body in that encoding (``identity`` or one of :data:`ENCODINGS`)."""
        body = self._current(who.user_id)
        if body is None or encoding not in body.encodings:
            async with self._lock:  # one makes it, those that came along wait for it
                body = self._current(who.user_id) or await self._make(who)
                if encoding not in body.encodings:
                    made = await asyncio.to_thread(_compress, body.encodings["identity"], encoding)
                    body.encodings[encoding] = made
        return f'"{body.etag}-{encoding}"', body.encodings[encoding]

    async def catalogue_of(self, who: Principal, names: Sequence[str] | None = None) -> Catalogue:
        """The nodes (or those of ``names`` that there are) with the owner's files in their combos."""
        catalogue = self._catalogue.current
        chosen = catalogue if names is None else {name: catalogue[name] for name in names if name in catalogue}
        if not any(_file_mark(i) for node in chosen.values() for i in node.inputs):
            return chosen
        files = await self._db.read(lambda tx: assets.list_files(tx, who, folder=Folder.INPUT, limit=MOST_FILES))
        offered = {mark: _names(files, kinds) for mark, kinds in _KINDS.items()}
        return {name: _filled(node, offered) for name, node in chosen.items()}

    def _current(self, owner: UserId) -> Body | None:
        found = self._bodies.get(owner)
        if found is None or found[0] != self._version(owner):
            return None
        self._bodies.move_to_end(owner)
        return found[1]

    def _version(self, owner: UserId) -> tuple[str, int]:
        return self._catalogue.version, self._uploads.get(owner, 0)

    async def _make(self, who: Principal) -> Body:
        version = self._version(who.user_id)
        catalogue = await self.catalogue_of(who)
        text = await asyncio.to_thread(_encode, catalogue)
        body = Body(hashlib.blake2b(text, digest_size=16).hexdigest(), {"identity": text})
        self._bodies[who.user_id] = (version, body)
        while len(self._bodies) > KEPT_OWNERS:
            self._bodies.popitem(last=False)
        return body


def _encode(catalogue: Catalogue) -> bytes:
    return msgspec.json.encode({name: node_info(schema) for name, schema in catalogue.items()})


def _compress(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(body)
    if encoding == "br":
        import brotli

        return bytes(brotli.compress(body, quality=5))
    import gzip

    return gzip.compress(body, compresslevel=6, mtime=0)


def _filled(node: NodeSchema, offered: Mapping[str, Sequence[str]]) -> NodeSchema:
    if not any(_file_mark(i) for i in node.inputs):
        return node
    return replace(node, inputs=tuple(_filled_input(i, offered) for i in node.inputs))


def _filled_input(declared: InputSchema, offered: Mapping[str, Sequence[str]]) -> InputSchema:
    mark = _file_mark(declared)
    if mark is None:
        return declared
    own = declared.options or []
    options = [*own, *(name for name in offered[mark] if name not in own)]
    return replace(declared, config={**declared.config, "options": options})


def _file_mark(declared: InputSchema) -> str | None:
    """A combo with a ``remote`` is filled by the client itself, from the address that it gives."""
    if declared.type != "COMBO" or declared.config.get("remote"):
        return None
    return next((mark for mark in _KINDS if declared.config.get(mark)), None)


def _names(files: Sequence[Asset], kinds: frozenset[str]) -> list[str]:
    """Files at the top of the folder, as ComfyUI lists them; 3D models with the subfolder that they are uploaded to."""
    names = []
    for asset in files:
        file = asset.file
        if file is None or kind_of_file(file.filename) not in kinds:
            continue
        if not file.subfolder:
            names.append(file.filename)
        elif "3d" in kinds:
            names.append(f"{file.subfolder}/{file.filename}")
    return sorted(names)
