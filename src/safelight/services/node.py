"""The catalogues of nodes in the database, by engine kind and digest: a server knows its nodes before its first engine
is ready."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from blake3 import blake3

from safelight.core.digest import Digest
from safelight.core.engine_kind import EngineKind
from safelight.core.event import NodesChanged
from safelight.core.node import NodeSchema
from safelight.db import node as rows
from safelight.db.transaction import Transaction

_decoder = msgspec.msgpack.Decoder(list[NodeSchema])


@dataclass(frozen=True, slots=True)
class Declared:
    """The nodes that engines of one kind have declared, and the digest that identifies them."""

    digest: Digest
    nodes: Sequence[NodeSchema]


def encode(nodes: Sequence[NodeSchema]) -> bytes:
    """Encode a catalogue. It is large: do not call this in a transaction or on the event loop."""
    return msgspec.msgpack.encode(sorted(nodes, key=lambda node: node.name))


def digest_of(body: bytes) -> Digest:
    """The digest that identifies an encoded catalogue."""
    return Digest(blake3(body).hexdigest())


def save(tx: Transaction, engine: EngineKind, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Store an encoded catalogue as the current one of an engine kind."""
    rows.save(tx.conn, engine, digest=digest, body=body, now=now)
    tx.emit(NodesChanged(digest, engine))


def load_latest(tx: Transaction) -> Mapping[EngineKind, Declared]:
    """The latest catalogue of each engine kind; none of a kind before its first engine, or if another version stored it
    in another form."""
    found = {}
    for engine, (digest, body) in rows.latest(tx.conn).items():
        try:
            found[engine] = Declared(digest, _decoder.decode(body))
        except msgspec.MsgspecError:
            continue
    return found
