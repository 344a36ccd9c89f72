"""Messages to frames and back: a length of four bytes (big-endian), then msgpack. Pure: bytes in, messages out.

msgpack ends at 64 bits and UTF-8 has no lone surrogates, while Python, and with it JSON from a client, knows both: an
integer beyond 64 bits travels as an extension and arrives as it was; a lone surrogate arrives as a question mark.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from safelight.core.errors import SafelightError

M = TypeVar("M")

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A longer frame is taken for garbage: files go by path, so that no message comes near."""

_LENGTH_BYTES = 4
_BIG_INTEGER = 1

_encoder = msgspec.msgpack.Encoder()


class CorruptStream(SafelightError):
    """What came through the pipe is no sequence of frames; nothing after it can be trusted."""

    code = "corrupt_stream"


def encode(messages: Iterable[msgspec.Struct]) -> bytes:
    """The frames of ``messages``, one after the other. Raises :class:`TypeError` for what is not plain data and
    :class:`ValueError` for a message that is too long."""
    return b"".join(_frame(m) for m in messages)


class Decoder(Generic[M]):
    """Bytes as they arrive to messages of a union such as ``ToServer``. Mutable: it holds the unfinished frame."""

    def __init__(self, messages: Any, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._decoder = msgspec.msgpack.Decoder(messages, ext_hook=_read_extension)
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """The messages that ``data`` completes, to be taken until there are no more.

        Raises :class:`CorruptStream` behind the last good one; the decoder is of no use after it.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if length > self._max_bytes:
                raise CorruptStream(f"a frame of {length} bytes was announced, more than {self._max_bytes}")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            yield self._decode(body)

    def finish(self) -> None:
        """The stream is over. Raises :class:`CorruptStream` if it ended inside a frame."""
        if self._buffer:
            raise CorruptStream(f"the stream ended inside a frame, after {len(self._buffer)} bytes of it")

    def _decode(self, body: bytes) -> M:
        try:
            message: M = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CorruptStream(f"a frame of {len(body)} bytes is not a message: {error}") from None
        return message


def _frame(message: msgspec.Struct) -> bytes:
    try:
        body = _encoder.encode(message)
    except (OverflowError, UnicodeEncodeError):
        body = _encoder.encode(_encodable(msgspec.to_builtins(message, builtin_types=(bytes,))))
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"a {type(message).__name__} of {len(body)} bytes is too long for the pipe")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _encodable(value: Any) -> Any:
    match value:
        case dict():
            return {_encodable(k): _encodable(v) for k, v in value.items()}
        case list() | tuple():
            return [_encodable(v) for v in value]
        case str():
            return value.encode("utf-8", "replace").decode()
        case int() if not -(2**63) <= value < 2**64:
            return msgspec.msgpack.Ext(_BIG_INTEGER, b"%x" % value)
        case _:
            return value


def _read_extension(code: int, data: memoryview) -> Any:
    if code != _BIG_INTEGER:
        raise CorruptStream(f"extension {code} is unknown")
    return int(bytes(data), 16)
