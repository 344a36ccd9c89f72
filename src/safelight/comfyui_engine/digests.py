"""A process beside ComfyUI that computes digests and types of files for the agent: blake3 is not in the standard
library, and ComfyUI's interpreter is not ours to add to. It has the same restrictions as ComfyUI, and ends with it.

One JSON object a line: ``{"path", "filename"}`` is answered by ``{"digest", "mime_type"}`` or ``{"errno", "error"}``.
"""

import json
import os
import socket
from pathlib import Path
from typing import NoReturn

from safelight.blobs.hashing import hash_file
from safelight.media.sniff import HEAD_BYTES, mime_type_of
from safelight.sandbox import system


def start(*, unwanted: int) -> int:
    """Start the process. Return the caller's end of its socket, which a program that is executed keeps.

    ``unwanted``: a descriptor that it must not hold open.
    """
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    if not os.fork():
        _serve_and_exit(theirs, parent, (ours.fileno(), unwanted))
    theirs.close()
    os.set_inheritable(ours.fileno(), True)
    return ours.detach()


def _serve_and_exit(sock: socket.socket, parent: int, unwanted: tuple[int, ...]) -> NoReturn:
    status = 1
    try:
        system.die_with_parent()
        for number in unwanted:
            os.close(number)
        if os.getppid() == parent:
            serve(sock)
        status = 0
    finally:
        os._exit(status)


def serve(sock: socket.socket) -> None:
    """Answer requests until the other side closes the socket."""
    with sock.makefile("rb") as requests:
        for line in requests:
            request = json.loads(line)
            sock.sendall(json.dumps(_describe(Path(request["path"]), request["filename"])).encode() + b"\n")


def _describe(path: Path, filename: str) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return {"digest": hash_file(path), "mime_type": mime_type_of(filename, head)}
    except OSError as error:
        return {"errno": error.errno or 0, "error": error.strerror or str(error)}
