"""The headers of every response with a user's bytes: displayed if that is harmless, else downloaded.

All routes use one function, so that none forgets a header. A browser displays only the types listed below; it does not
guess types, runs no script in this origin, and does not give the bytes to pages of other sites.
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
"""Types that a browser displays or plays and that cannot contain scripts (as SVG and PDF can)."""

_POLICY = "default-src 'none'; sandbox; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
"""No scripts and no embedded pages; only what a browser's own page for a picture or a video needs."""
DOWNLOAD = "application/octet-stream"


def byte_headers(filename: str, mime_type: str) -> dict[str, str]:
    """``mime_type``: of the bytes, without parameters; a type that is not in :data:`INLINE` becomes a download."""
    is_inline = mime_type in INLINE
    return {
        "content-type": mime_type if is_inline else DOWNLOAD,
        "content-disposition": content_disposition(filename, attachment=not is_inline),
        "x-content-type-options": "nosniff",
        "content-security-policy": _POLICY,
        "cross-origin-resource-policy": "same-origin",
    }


def content_disposition(filename: str, *, attachment: bool) -> str:
    """ComfyUI's clients read ``filename="..."``; a name that is not plain ASCII is in ``filename*`` as well."""
    plain = re.sub(r'[^ -~]|["\\]', "_", filename)
    value = f'filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f"attachment; {value}" if attachment else value
