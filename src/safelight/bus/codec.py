"""Events as bytes, for processes that share a database.

A list of pairs: the name of the event's class and its fields. An event of a call is written under its own name, its
fields beside those of the job that it belongs to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, get_args

import msgspec

from safelight.core import event as events
from safelight.core.event import CallReported, Event, JobEvent, JobQueued
from safelight.wire import call_events

_TYPES: dict[str, type] = {
    name: kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, get_args(Event)) and kind is not CallReported
}
_encoder = msgspec.msgpack.Encoder()
_items = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])
_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in (_TYPES | call_events.KINDS).items()
}
_job = msgspec.msgpack.Decoder(JobEvent)


def encode(published: Iterable[Event]) -> bytes:
    """Encode events, without the secrets of a queued job: those never leave the process that received them."""
    return _encoder.encode([_item(event) for event in published])


def decode(data: bytes) -> Sequence[Event]:
    """Decode what :func:`encode` returned; events that only a newer server knows are left out.

    Raises :class:`ValueError`.
    """
    try:
        return [_event(name, raw) for name, raw in _items.decode(data) if name in _decoders]
    except msgspec.MsgspecError as error:
        raise ValueError(f"not the events of a server: {error}") from None


def _item(event: Event) -> tuple[str, Any]:
    if isinstance(event, CallReported):
        return type(event.event).__name__, _job_fields(event) | call_events.to_fields(event.event)
    if isinstance(event, JobQueued) and event.secrets:
        event = replace(event, secrets={})
    return type(event).__name__, event


def _event(name: str, raw: msgspec.Raw) -> Event:
    decoded = _decoders[name].decode(raw)
    if name in call_events.KINDS:
        return CallReported(**_job_fields(_job.decode(raw)), event=decoded)
    event: Event = decoded
    return event


def _job_fields(event: JobEvent) -> dict[str, Any]:
    return {"owner_id": event.owner_id, "job_id": event.job_id, "client_id": event.client_id, "at": event.at}
