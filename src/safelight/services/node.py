"""The catalogue of nodes in the database, by digest: a server knows its nodes before its first engine is ready."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from blake3 import blake3

from safelight.core.digest import Digest
from safelight.core.event import NodesChanged
from safelight.core.node import NodeSchema
from safelight.db import node as rows
from safelight.db.transaction import Transaction

_decoder = msgspec.msgpack.Decoder(list[NodeSchema])


def encode(nodes: Sequence[NodeSchema]) -> bytes:
    """Encode a catalogue. It is large: do not call this in a transaction or on the event loop."""
    return msgspec.msgpack.encode(sorted(nodes, key=lambda node: node.name))


def digest_of(body: bytes) -> Digest:
    """The digest that identifies an encoded catalogue."""
    return Digest(blake3(body).hexdigest())


def save(tx: Transaction, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Store an encoded catalogue as the current one."""
    rows.save(tx.conn, digest=digest, body=body, now=now)
    tx.emit(NodesChanged(digest))


def load_latest(tx: Transaction) -> dict[str, NodeSchema]:
    """The latest catalogue; empty before the first engine, or if another version stored it in another form."""
    body = rows.latest(tx.conn)
    if body is None:
        return {}
    try:
        return {node.name: node for node in _decoder.decode(body)}
    except msgspec.MsgspecError:
        return {}
