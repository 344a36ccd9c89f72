"""The headers of every answer that carries somebody's bytes: shown where that is harmless, else downloaded.

One function for all routes, so that none forgets a part. A browser shows what is on the list below and nothing else; it
guesses no type, runs no script in this origin's name and lends the bytes to no other site's page.
"""

import re
from urllib.parse import quote

INLINE = frozenset(
    {
        "image/apng", "image/avif", "image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp", "image/x-icon",
        "audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm",
        "video/mp4", "video/ogg", "video/quicktime", "video/webm", "video/x-matroska",
        "text/plain",
    }
)  # fmt: skip
"""Types that a browser draws or plays and in which nothing can run. No SVG, no PDF: both hold scripts."""

_POLICY = "default-src 'none'; sandbox; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
"""No script and no page of its own; what a browser's page for a picture or a film needs, and no more."""
DOWNLOAD = "application/octet-stream"


def byte_headers(filename: str, mime_type: str) -> dict[str, str]:
    """``mime_type``: of the bytes, without parameters; what is not in :data:`INLINE` is a download of no type."""
    is_inline = mime_type in INLINE
    return {
        "content-type": mime_type if is_inline else DOWNLOAD,
        "content-disposition": content_disposition(filename, attachment=not is_inline),
        "x-content-type-options": "nosniff",
        "content-security-policy": _POLICY,
        "cross-origin-resource-policy": "same-origin",
    }


def content_disposition(filename: str, *, attachment: bool) -> str:
    """ComfyUI's clients read ``filename="..."``; names that are not plain ASCII come in ``filename*`` as well."""
    plain = re.sub(r'[^ -~]|["\\]', "_", filename)
    value = f'filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f"attachment; {value}" if attachment else value
