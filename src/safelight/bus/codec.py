"""Events as bytes, for processes that share a database."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

import msgspec

from safelight.core import event as events
from safelight.core.event import Event, JobQueued

_TYPES: dict[str, type] = {
    name: kind for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, get_args(Event))
}
_encoder = msgspec.msgpack.Encoder()
_items = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]])
_decoders: dict[str, msgspec.msgpack.Decoder[Event]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in _TYPES.items()
}


def encode(published: Iterable[Event]) -> bytes:
    """Without the secrets of a queued job, which never leave the process that was told them."""
    return _encoder.encode([(type(event).__name__, _without_secrets(event)) for event in published])


def decode(data: bytes) -> Sequence[Event]:
    """What :func:`encode` made; an event that only a newer server knows is left out. Raises :class:`ValueError`."""
    try:
        return [_decoders[name].decode(raw) for name, raw in _items.decode(data) if name in _decoders]
    except msgspec.MsgspecError as error:
        raise ValueError(f"not the events of a server: {error}") from None


def _without_secrets(event: Event) -> Event:
    return replace(event, secrets={}) if isinstance(event, JobQueued) and event.secrets else event
