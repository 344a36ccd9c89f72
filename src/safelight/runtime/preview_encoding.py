"""Pictures of work in progress, small enough to be sent with every step."""

import io
from typing import Any

MAX_SIDE = 512
QUALITY = 90
MIME_TYPE = "image/jpeg"


def encode(image: Any) -> bytes:
    """A PIL image as JPEG, shrunk to :data:`MAX_SIDE` pixels where it is larger."""
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
