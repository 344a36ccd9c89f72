"""Detect the format of a weights file by its bytes, never by its name. Every loader calls this first.

safetensors and GGUF are tables of numbers, and are accepted if their header matches the file; only the loaders of
diffusion models and text encoders read GGUF. A pickle is a program, whatever its name, and is refused: ``safelight
model convert`` converts its tensors to a safetensors file.
"""

from enum import StrEnum
from pathlib import Path

from safelight.media import gguf_header, safetensors_header
from safelight.media.media_errors import UnreadableWeights

_ZIP, _TAR = b"PK\x03\x04", b"ustar"
_TAR_AT = 257
_HEAD_BYTES = 512


class WeightsFormat(StrEnum):
    SAFETENSORS = "safetensors"
    GGUF = "GGUF"


class PickledWeights(UnreadableWeights):
    """The file is a pickle, which could run any code when it is read."""

    code = "pickled_weights"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is a pickle, which could run any code when it is read; `safelight model convert` converts "
            "it to safetensors"
        )


def check_weights(path: Path) -> WeightsFormat:
    """The format of a file that is a table of numbers; reads only the header. Raises :class:`PickledWeights`;
    :class:`UnreadableWeights` if it is not a weights file, or damaged; :class:`OSError`."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith(gguf_header.MAGIC):
            gguf_header.read(file, name=path.name)
            return WeightsFormat.GGUF
        if is_pickle(head):
            raise PickledWeights(path.name)
        safetensors_header.read(file, name=path.name)
        return WeightsFormat.SAFETENSORS


def is_pickle(head: bytes) -> bool:
    """Whether the first bytes are those of torch's files (a zip, a bare pickle or, in the first versions, a tar) or of
    another pickle of protocol 2 or later."""
    protocol = head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and not _begins_like_safetensors(head)
    return protocol or head.startswith(_ZIP) or head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR


def _begins_like_safetensors(head: bytes) -> bool:
    """The low byte of a header's length can equal the first byte of a pickle."""
    return head[8:9] == b"{" and head[5:8] == b"\0\0\0"
