"""Compressed request bodies: ``gzip`` and ``deflate`` are decompressed as they arrive, other encodings are refused."""

import zlib

from starlette.types import Message, Receive, Scope

from safelight.core.errors import Invalid, SafelightError

_PLAIN = ("", "identity")
_ZLIB = ("gzip", "x-gzip", "deflate")
_EITHER_HEADER = 32 + zlib.MAX_WBITS
_PIECE = 256 * 1024
"""Maximum bytes of one decompressed message, so that a reader can stop at its limit."""


class UnsupportedEncoding(SafelightError):
    code = "unsupported_content_encoding"

    def __init__(self, encoding: str) -> None:
        message = f"Content-Encoding {encoding[:100]!r} is not supported; send the body uncompressed, or as gzip"
        super().__init__(message)


class DamagedEncoding(Invalid):
    code = "invalid_body"


def decoded(scope: Scope, receive: Receive) -> Receive:
    """Wrap ``receive`` so that it returns the decompressed body. Raises :class:`UnsupportedEncoding`."""
    values = [value for name, value in scope["headers"] if name == b"content-encoding"]
    encoding = b",".join(values).decode("latin-1").strip().lower()
    if encoding in _PLAIN:
        return receive
    if encoding not in _ZLIB:
        raise UnsupportedEncoding(encoding)
    return _Inflating(receive)


class _Inflating:
    """Mutable: the decompressor, and whether the whole body was received."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._inflate = zlib.decompressobj(_EITHER_HEADER)
        self._left = b""
        self._is_whole = False

    async def __call__(self) -> Message:
        while not self._is_whole or self._left:
            if not self._left:
                message = await self._receive()
                if message["type"] != "http.request":
                    return message
                self._left = message.get("body", b"")
                self._is_whole = not message.get("more_body", False)
            piece = self._piece()
            if self._is_whole and not self._left:
                if not self._inflate.eof:
                    raise DamagedEncoding("the compressed body is incomplete")
                return {"type": "http.request", "body": piece, "more_body": False}
            if piece:
                return {"type": "http.request", "body": piece, "more_body": True}
        return await self._receive()

    def _piece(self) -> bytes:
        try:
            piece = self._inflate.decompress(self._left, _PIECE)
        except zlib.error as error:
            raise DamagedEncoding(f"the compressed body cannot be read: {error}") from None
        self._left = self._inflate.unconsumed_tail
        return piece
