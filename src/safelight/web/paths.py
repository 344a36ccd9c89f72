"""Finds the file of the web UI for a URL path: its folder, its type, and how long clients may cache it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safelight.web.packages import Packages

MIME_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".eot": "application/vnd.ms-fontobject",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""Not the system's table, which differs between machines. ``.map`` is left out on purpose."""

_HASHED = re.compile(r"assets/[^/]*-[A-Za-z0-9_-]{8}\.[a-z0-9]+")
"""The bundler puts a hash of the content into these names, so the content of a name never changes."""


@dataclass(frozen=True, slots=True)
class WebFile:
    """``key``: its path among the prepared copies; ``immutable``: clients may cache it forever."""

    path: Path
    key: str
    mime_type: str
    immutable: bool = False


def find_file(url_path: str, packages: Packages, extensions: Mapping[str, Path]) -> WebFile | None:
    """The file for a decoded URL path; ``None`` if there is none. Never leaves the served folders. Blocks."""
    key = url_path.lstrip("/") or "index.html"
    segments = key.split("/")
    if not all(map(_is_plain, segments)):
        return None
    mime_type = MIME_TYPES.get(Path(key).suffix.lower())
    if mime_type is None:
        return None
    for root, rest in _candidates(segments, packages, extensions):
        path = root.joinpath(*rest)
        # A symbolic link may point anywhere; its target must be inside the folder as well.
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return WebFile(path, key, mime_type, immutable=_HASHED.fullmatch(key) is not None)
    return None


def _candidates(
    segments: list[str], packages: Packages, extensions: Mapping[str, Path]
) -> list[tuple[Path, list[str]]]:
    match segments:
        case ["templates", *rest] if rest:
            return [(root, rest) for root in packages.templates]
        case ["docs", *rest] if rest:
            return [(packages.docs, rest)] if packages.docs else []
        case ["extensions", pack, *rest] if rest and pack in extensions:
            return [(extensions[pack], rest)]
        case _:
            return [(packages.frontend, segments)] if packages.frontend else []


def _is_plain(segment: str) -> bool:
    return bool(segment) and not segment.startswith(".") and "\\" not in segment and segment.isprintable()
