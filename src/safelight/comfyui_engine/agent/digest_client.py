"""Digests and types of files, from the process beside this one that computes them (``comfyui_engine/digests.py``):
ComfyUI's interpreter has no library for blake3."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path


class DigestsEndedError(OSError):
    """The process that computes digests has ended."""


class DigestClient:
    """Safe to use from any thread; one request at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._answers = sock.makefile("rb")
        self._lock = threading.Lock()

    def describe(self, path: Path, filename: str) -> tuple[str, str]:
        """The digest of a file, and its MIME type by its bytes and the name that it will have. Blocks.

        Raises :class:`OSError` if the file cannot be read.
        """
        request = json.dumps({"path": str(path), "filename": filename})
        with self._lock:
            try:
                self._sock.sendall(request.encode() + b"\n")
                line = self._answers.readline()
            except OSError as error:
                raise DigestsEndedError(f"the process that computes digests has ended: {error}") from error
        if not line:
            raise DigestsEndedError("the process that computes digests has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"])
        return answer["digest"], answer["mime_type"]
