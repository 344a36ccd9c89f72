"""Messages to frames and back: a length of four bytes (big-endian), then msgpack. Pure: bytes in, messages out.

Python, and JSON from a client, has integers beyond 64 bits and lone surrogates; msgpack and UTF-8 do not. Such an
integer is encoded as an extension and decoded unchanged; a lone surrogate is decoded as a question mark.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from safelight.core.errors import SafelightError

M = TypeVar("M")

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""A longer frame is treated as garbage: files are passed by path, so no message comes near this size."""

_LENGTH_BYTES = 4
_BIG_INTEGER = 1

_encoder = msgspec.msgpack.Encoder()


class CorruptStream(SafelightError):
    """The data on the pipe is not a sequence of frames; nothing after it can be trusted."""

    code = "corrupt_stream"


def encode(messages: Iterable[msgspec.Struct]) -> bytes:
    """The frames of ``messages``, one after the other. Raises :class:`TypeError` for values that are not plain data,
    and :class:`ValueError` for a message that is too long."""
    return b"".join(_frame(m) for m in messages)


class Decoder(Generic[M]):
    """Decodes bytes, as they arrive, to messages of a union such as ``ToServer``. Mutable: buffers the last frame."""

    def __init__(self, messages: Any, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._decoder = msgspec.msgpack.Decoder(messages, ext_hook=_read_extension)
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """Yield the messages that ``data`` completes. The caller must consume all of them.

        Raises :class:`CorruptStream` after the last valid one; the decoder cannot be used after that.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if length > self._max_bytes:
                raise CorruptStream(f"a frame of {length} bytes is longer than {self._max_bytes} bytes")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH_BYTES:end])
            del self._buffer[:end]
            yield self._decode(body)

    def finish(self) -> None:
        """End the stream. Raises :class:`CorruptStream` if it ended inside a frame."""
        if self._buffer:
            raise CorruptStream(f"the stream ended inside a frame, after {len(self._buffer)} of its bytes")

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
        raise CorruptStream(f"unknown extension {code}")
    return int(bytes(data), 16)
