"""Pictures that ComfyUI sends to its web clients: previews of work in progress, and results that are no files."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ENCODED, PIL, PIL_WITH_NODE = 1, 2, 4
"""The numbers of events: an encoded picture, a PIL picture, and one with its node's id."""
PREVIEW_SIDE = 512
_QUALITY = 90
_PNG = 2


@dataclass(frozen=True)
class Picture:
    """``node_id``: of the node that made it, if the event says so. ``encode``: makes its bytes; a preview that is
    replaced by a later one is never encoded. ``is_result``: it must arrive, and as it is."""

    node_id: str | None
    encode: Callable[[], bytes]
    mime_type: str
    is_result: bool = False


def read(event: int, data: Any) -> Picture:
    """The picture of an event. Raises :class:`ValueError`, :class:`TypeError` or :class:`struct.error` for other
    data."""
    if event == ENCODED:
        (kind,) = struct.unpack_from(">I", data)
        image = bytes(data[4:])
        return Picture(None, lambda: image, "image/png" if kind == _PNG else "image/jpeg")
    if event == PIL:
        return _pil(None, data)
    if isinstance(data, (bytes, bytearray)):
        (length,) = struct.unpack_from(">I", data)
        about = json.loads(bytes(data[4 : 4 + length]))
        encoded = bytes(data[4 + length :])
        return Picture(about.get("node_id"), lambda: encoded, about.get("image_type", "image/jpeg"))
    picture, about = data
    return _pil(about.get("node_id"), picture)


def _pil(node_id: str | None, picture: Any) -> Picture:
    """A tuple of a format, a PIL picture, and the side that a preview is shown with; a result has no side."""
    kind, image, side = picture
    if side is None:
        return Picture(node_id, lambda: _encoded(image, kind), f"image/{kind.lower()}", is_result=True)
    copied = image.copy()  # a sampler may go on drawing on it

    def preview() -> bytes:
        small = copied.convert("RGB")
        small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        return _encoded(small, "JPEG", quality=_QUALITY)

    return Picture(node_id, preview, "image/jpeg")


def _encoded(image: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
