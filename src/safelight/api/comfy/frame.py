"""A frame of a ComfyUI socket: one message, encoded once for all sockets that receive it.

Text frames are JSON ``{"type", "data"}``; binary frames begin with a big-endian number, their kind.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_IMAGE_KINDS = {"image/jpeg": 1, "image/png": 2}


class Audience(Enum):
    """A socket is *rich* when its client announced ``supports_preview_metadata``, as the web UI does."""

    ALL = "all"
    PLAIN = "plain"
    RICH = "rich"


@dataclass(frozen=True, slots=True)
class Frame:
    """``key``: of an ephemeral message; a slow socket gets only the latest frame with the same key."""

    payload: str | bytes
    key: str | None = None
    audience: Audience = Audience.ALL

    def is_for(self, *, rich: bool) -> bool:
        return self.audience is Audience.ALL or (self.audience is Audience.RICH) == rich


def text_frame(
    kind: str, data: Mapping[str, Any], *, key: str | None = None, audience: Audience = Audience.ALL
) -> Frame:
    return Frame(_encode({"type": kind, "data": data}).decode(), key, audience)


def preview_frames(metadata: Mapping[str, Any], image: bytes, mime_type: str, *, key: str) -> list[Frame]:
    """The same picture for both kinds of clients: alone, and with metadata of its call."""
    header = _encode(metadata)
    rich = struct.pack(">II", PREVIEW_WITH_METADATA, len(header)) + header + image
    plain = struct.pack(">II", PREVIEW, _IMAGE_KINDS.get(mime_type, 1)) + image
    return [Frame(rich, key, Audience.RICH), Frame(plain, key, Audience.PLAIN)]


def progress_text_frame(node_id: str, text: str, *, key: str) -> Frame:
    """Without the prompt's id: the server does not announce ``supports_progress_text_metadata``."""
    node = node_id.encode()
    return Frame(struct.pack(">II", TEXT, len(node)) + node + text.encode(), key)
