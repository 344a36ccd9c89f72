"""HTTP compression: which encodings a client accepts, which files are worth compressing, and at what level."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import brotli
import zstandard

SMALLEST_BYTES = 1024
"""Smaller bodies fit in one packet either way."""

_COMPRESSIBLE = frozenset(
    {
        "application/json",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "font/ttf",
        "image/svg+xml",
        "image/x-icon",
        "text/css",
        "text/html",
        "text/javascript",
        "text/markdown",
        "text/plain",
    }
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """``quick`` compresses while a request waits (tens of megabytes a second), ``thorough`` in advance."""

    name: str
    quick: Callable[[bytes], bytes]
    thorough: Callable[[bytes], bytes]


# In order of preference: the fastest to decompress first.
ENCODINGS: Mapping[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding(
            "zstd",
            quick=lambda body: zstandard.ZstdCompressor(level=3).compress(body),
            thorough=lambda body: zstandard.ZstdCompressor(level=19).compress(body),
        ),
        Encoding(
            "br",
            quick=lambda body: brotli.compress(body, quality=4),
            thorough=lambda body: brotli.compress(body, quality=9),
        ),
        Encoding(
            "gzip",
            quick=lambda body: gzip.compress(body, compresslevel=4, mtime=0),
            thorough=lambda body: gzip.compress(body, compresslevel=9, mtime=0),
        ),
    )
}


def is_compressible(mime_type: str, size: int) -> bool:
    return size >= SMALLEST_BYTES and mime_type.partition(";")[0] in _COMPRESSIBLE


def accepted_encodings(header: str | None) -> tuple[str, ...]:
    """The names of :data:`ENCODINGS` that an ``Accept-Encoding`` header allows, in the server's order of preference."""
    allowed: dict[str, bool] = {}
    for item in (header or "").split(","):
        name, _, parameters = item.strip().lower().partition(";")
        allowed[name.strip()] = _quality(parameters) > 0
    return tuple(name for name in ENCODINGS if allowed.get(name, allowed.get("*", False)))


def _quality(parameters: str) -> float:
    key, _, value = parameters.replace(" ", "").partition("=")
    if key != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
