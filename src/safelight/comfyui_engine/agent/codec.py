"""Frames of the engine's pipe: a length of four bytes (big-endian), then a message in msgpack.

ComfyUI's interpreter has no msgpack, so the part of its specification that messages use is here
(https://github.com/msgpack/msgpack/blob/master/spec.md): nil, booleans, numbers, strings, bytes, arrays, maps, and one
extension for integers beyond 64 bits. A message is a map whose key ``type`` names it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

MAX_FRAME_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 200
"""Deeper data is treated as garbage: it would exhaust the stack."""
_BIG_INTEGER = 1
"""The extension for an integer beyond 64 bits: its digits in hexadecimal."""


class CorruptFrameError(ValueError):
    """The data is not a sequence of frames; nothing after it can be trusted."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One frame. Raises :class:`TypeError` for a value that is not plain data, :class:`ValueError` for a message that
    is too long or too deep."""
    out = bytearray(4)
    _write(out, message, 0)
    length = len(out) - 4
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a {message.get('type')} of {length} bytes is too long for the pipe")
    out[:4] = length.to_bytes(4, "big")
    return bytes(out)


class Decoder:
    """Decodes bytes, as they arrive, to messages. Mutable: buffers the last frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that ``data`` completes. Raises :class:`CorruptFrameError`."""
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if length > MAX_FRAME_BYTES:
                raise CorruptFrameError(f"a frame of {length} bytes is longer than {MAX_FRAME_BYTES} bytes")
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield decode(body)


def decode(body: bytes) -> dict[str, Any]:
    """The message in the body of a frame. Raises :class:`CorruptFrameError`."""
    try:
        message, end = _read(body, 0, 0)
    except (IndexError, struct.error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise CorruptFrameError(f"a frame of {len(body)} bytes is not a message: {error}") from None
    if end != len(body) or not isinstance(message, dict):
        raise CorruptFrameError(f"a frame of {len(body)} bytes is not one message")
    return message


def _write(out: bytearray, value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"a message has more than {MAX_DEPTH} levels")
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        _write_integer(out, value)
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, str):
        text = value.encode("utf-8", "replace")  # a lone surrogate becomes a question mark
        _write_head(out, len(text), short=(0xA0, 32), codes=(0xD9, 0xDA, 0xDB))
        out += text
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _write_head(out, len(value), short=(0, 0), codes=(0xC4, 0xC5, 0xC6))
        out += value
    elif isinstance(value, Mapping):
        _write_head(out, len(value), short=(0x80, 16), codes=(None, 0xDE, 0xDF))
        for key, item in value.items():
            _write(out, key, depth + 1)
            _write(out, item, depth + 1)
    elif isinstance(value, (list, tuple)):
        _write_head(out, len(value), short=(0x90, 16), codes=(None, 0xDC, 0xDD))
        for item in value:
            _write(out, item, depth + 1)
    else:
        raise TypeError(f"a {type(value).__name__} is not plain data")


def _write_integer(out: bytearray, value: int) -> None:
    if -32 <= value < 128:
        out += struct.pack("b" if value < 0 else "B", value)
    elif -(2**63) <= value < 0:
        out += struct.pack(">Bq", 0xD3, value)
    elif 0 <= value < 2**64:
        out += struct.pack(">BQ", 0xCF, value)
    else:
        digits = b"%x" % value
        out += struct.pack(">BIB", 0xC9, len(digits), _BIG_INTEGER) + digits


def _write_head(out: bytearray, size: int, *, short: tuple[int, int], codes: tuple[int | None, int, int]) -> None:
    """``short``: the first byte and the limit of sizes that are in it; ``codes``: of sizes in 1, 2 and 4 bytes."""
    one, two, four = codes
    if size < short[1]:
        out.append(short[0] | size)
    elif one is not None and size < 2**8:
        out += struct.pack(">BB", one, size)
    elif size < 2**16:
        out += struct.pack(">BH", two, size)
    else:
        out += struct.pack(">BI", four, size)


_FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"} | {
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_SIZED = {
    0xC4: ("bytes", ">B"),
    0xC5: ("bytes", ">H"),
    0xC6: ("bytes", ">I"),
    0xC7: ("extension", ">B"),
    0xC8: ("extension", ">H"),
    0xC9: ("extension", ">I"),
    0xD9: ("text", ">B"),
    0xDA: ("text", ">H"),
    0xDB: ("text", ">I"),
    0xDC: ("array", ">H"),
    0xDD: ("array", ">I"),
    0xDE: ("map", ">H"),
    0xDF: ("map", ">I"),
}
_SIMPLE = {0xC0: None, 0xC2: False, 0xC3: True}


def _read(body: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value at a position, and the position after it."""
    if depth > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} levels")
    code = body[at]
    at += 1
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 256, at
    if code in _SIMPLE:
        return _SIMPLE[code], at
    if code in _FIXED:
        (number,) = struct.unpack_from(_FIXED[code], body, at)
        return number, at + struct.calcsize(_FIXED[code])
    if 0xD4 <= code <= 0xD8:
        return _read_sized("extension", 1 << (code - 0xD4), body, at, depth)
    if code in _SIZED:
        kind, form = _SIZED[code]
        (size,) = struct.unpack_from(form, body, at)
        return _read_sized(kind, size, body, at + struct.calcsize(form), depth)
    kind, mask = ("map", 0x0F) if code < 0x90 else ("array", 0x0F) if code < 0xA0 else ("text", 0x1F)
    if code >= 0xC0:
        raise ValueError(f"unknown code {code:#x}")
    return _read_sized(kind, code & mask, body, at, depth)


def _read_sized(kind: str, size: int, body: bytes, at: int, depth: int) -> tuple[Any, int]:
    if kind == "array":
        items = []
        for _ in range(size):
            item, at = _read(body, at, depth + 1)
            items.append(item)
        return items, at
    if kind == "map":
        found = {}
        for _ in range(size):
            key, at = _read(body, at, depth + 1)
            found[key], at = _read(body, at, depth + 1)
        return found, at
    start = at + 1 if kind == "extension" else at
    data = body[start : start + size]
    if len(data) < size:
        raise ValueError("the data ends inside a value")
    if kind == "extension":
        if body[at] != _BIG_INTEGER:
            raise ValueError(f"unknown extension {body[at]}")
        return int(data, 16), start + size
    return data.decode() if kind == "text" else data, start + size


def plain(value: Any) -> Any:
    """``value`` as messages can carry it; numbers of other libraries become Python's, and anything else its text."""
    if value is None or value is True or value is False or type(value) in (int, str, bytes):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return "".join(value)  # packs have subclasses of str that equal everything
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(getattr(value, "value", None), (str, int, float)):
        return plain(value.value)  # an enum
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return plain(value.item())
    return str(value)


def is_finite(value: Any) -> bool:
    """Whether ``value`` is a number that progress can show."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _key(key: Any) -> str:
    return "".join(key) if isinstance(key, str) else str(key)
