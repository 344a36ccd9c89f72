"""The engine's end of the pipe: a socket that one thread reads and any thread writes, blocking."""

import socket
import threading
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from safelight.wire.codec import Decoder

M = TypeVar("M")

_CHUNK_BYTES = 256 * 1024


class Pipe(Generic[M]):
    """Messages of the union ``incoming`` come in, frames go out."""

    def __init__(self, sock: socket.socket, incoming: Any) -> None:
        self._sock = sock
        self._decoder: Decoder[M] = Decoder(incoming)
        self._writing = threading.Lock()

    def write(self, frames: bytes | bytearray) -> None:
        """Send what :func:`~safelight.wire.codec.encode` made. Raises :class:`OSError` when the other side is gone."""
        with self._writing:
            self._sock.sendall(frames)

    def read(self) -> Iterator[M]:
        """Messages until the other side closes. Raises :class:`~safelight.wire.codec.CorruptStream`."""
        while data := self._sock.recv(_CHUNK_BYTES):
            yield from self._decoder.feed(data)
        self._decoder.finish()

    def has_unread(self) -> bool:
        """Whether bytes wait that :meth:`read` has not taken yet."""
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
