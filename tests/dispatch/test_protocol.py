"""The protocol number changes with the messages: a server must not use an actor that reads them differently."""

import json
from hashlib import blake2b
from typing import Any

import msgspec

from safelight.dispatch.backends.agent_messages import Attached, Command, Entry, SlotSpec
from safelight.dispatch.journal import Journal
from safelight.wire.config import EngineConfig
from safelight.wire.messages import ToEngine, ToServer
from safelight.wire.protocol import PROTOCOL

VOCABULARY = (ToEngine, ToServer, EngineConfig, SlotSpec, Command, Entry, Attached, Journal)
DIGESTS = {2: "0a16d04586b057f9", 3: "0d4533d3f1430de4", 4: "d6ba3c3749884ef7", 5: "d2ad98fed4bb0f69"}
"""Digests of the message declarations by protocol number. A changed declaration needs a new number and its digest here;
the digest of a released number never changes."""


def digest(vocabulary: tuple[Any, ...]) -> str:
    """The names, fields, types, tags and defaults, without docstrings."""
    return blake2b(
        json.dumps(_bare(msgspec.json.schema_components(vocabulary)), sort_keys=True).encode(), digest_size=8
    ).hexdigest()


def _bare(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key not in ("description", "title")}
    return [_bare(item) for item in schema] if isinstance(schema, list | tuple) else schema


def test_the_protocol_number_changes_with_the_messages() -> None:
    assert digest(VOCABULARY) == DIGESTS.get(PROTOCOL), "raise wire.protocol.PROTOCOL, and enter the new digest"
    assert max(DIGESTS) == PROTOCOL


def test_the_digest_changes_with_fields_but_not_with_docstrings() -> None:
    def made(**fields: Any) -> Any:
        return msgspec.defstruct("Envelope", [(name, *given) for name, given in fields.items()], tag=True)

    one = made(number=(int,))
    one.__doc__ = "Told otherwise."
    assert digest((one,)) == digest((made(number=(int,)),))
    assert digest((one,)) != digest((made(number=(int,), more=(str, "")),))
    assert digest((one,)) != digest((made(number=(float,)),))
