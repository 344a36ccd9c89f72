"""The server's end of the pipe: an asyncio protocol that passes on messages as they arrive."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from safelight.wire.codec import CorruptStream, Decoder, encode


class Connection(asyncio.Protocol):
    """Calls ``on_message`` for each message of the union ``incoming`` and ``on_end`` once, after the last one.

    ``on_end`` gets ``None`` if the other side closed the pipe or is gone, else the reason why the stream cannot be used
    any more.
    """

    def __init__(
        self, incoming: Any, *, on_message: Callable[[Any], None], on_end: Callable[[str | None], None]
    ) -> None:
        self._decoder: Decoder[Any] = Decoder(incoming)
        self._on_message = on_message
        self._on_end: Callable[[str | None], None] | None = on_end
        self._transport: asyncio.Transport | None = None

    def send(self, *messages: msgspec.Struct) -> None:
        """Send messages in one write. Messages to a closed connection are dropped."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(messages))

    def close(self) -> None:
        """Discard unwritten data and close; ``on_end`` follows, unless it was called before."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._on_end is None:
            return  # bytes after garbage are garbage too
        try:
            for message in self._decoder.feed(data):
                self._on_message(message)
        except CorruptStream as error:
            self._end(str(error))

    def eof_received(self) -> None:
        try:
            self._decoder.finish()
        except CorruptStream as error:
            self._end(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        is_gone = error is None or isinstance(error, ConnectionError)  # reset: it ended before it had read everything
        self._end(None if is_gone else str(error))

    def _end(self, reason: str | None) -> None:
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(reason)
