"""The engine's end of the pipe: a socket that one thread reads and any thread writes, blocking."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from safelight.wire.codec import Decoder

M = TypeVar("M")

_CHUNK_BYTES = 256 * 1024


class Pipe(Generic[M]):
    """Reads messages of the union ``incoming``, and writes frames."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self._sock = sock
        self._decoder: Decoder[M] = Decoder(incoming)
        self._writing = threading.Lock()

    def write(self, frames: bytes | bytearray) -> None:
        """Send frames of :func:`~safelight.wire.codec.encode`. Raises :class:`OSError` if the other side is gone."""
        with self._writing:
            self._sock.sendall(frames)

    def read(self) -> Iterator[M]:
        """Yield messages until the other side closes the pipe. Raises :class:`~safelight.wire.codec.CorruptStream`."""
        while data := self._sock.recv(_CHUNK_BYTES):
            yield from self._decoder.feed(data)
        self._decoder.finish()

    def has_unread(self) -> bool:
        """Whether there are bytes that :meth:`read` has not received yet."""
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
