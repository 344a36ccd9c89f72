"""The catalogue of nodes: kept by digest, so that a server knows what it can run before its first engine is up."""

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
    """Not in a transaction, and not on the event loop: a catalogue is large."""
    return msgspec.msgpack.encode(sorted(nodes, key=lambda node: node.name))


def digest_of(body: bytes) -> Digest:
    """What names an encoded catalogue."""
    return Digest(blake3(body).hexdigest())


def save(tx: Transaction, *, digest: Digest, body: bytes, now: datetime) -> None:
    """Keep an encoded catalogue as the one in use."""
    rows.save(tx.conn, digest=digest, body=body, now=now)
    tx.emit(NodesChanged(digest))


def load_latest(tx: Transaction) -> dict[str, NodeSchema]:
    """The catalogue that was last in use; empty before the first engine, or when its form is of another version."""
    body = rows.latest(tx.conn)
    if body is None:
        return {}
    try:
        return {node.name: node for node in _decoder.decode(body)}
    except msgspec.MsgspecError:
        return {}
