"""The folder of prepared copies: the web UI's files, compressed at a high level, once per set of package versions.

::

    <cache>/<frontend 1.58.1, templates 0.11.97, ...>/
      br/assets/vendor-other-DJwEkTJ_.js        the same path below each encoding
      gzip/..., zstd/...
      identity/global_subgraphs.json            bodies that are generated

A copy is complete or absent: it is written to a temporary file and renamed. Files are only ever added, so the server
and the program that fills the folder need no lock.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from safelight.web.encodings import ENCODINGS
from safelight.web.packages import Packages

IDENTITY = "identity"
_FORMAT = 1
"""Increment it when the contents of the copies change for the same packages."""


class Copies:
    """The copies for one set of packages, below ``cache_dir``. All methods block."""

    def __init__(self, cache_dir: Path, packages: Packages) -> None:
        versions = packages.versions or {}
        names = [f"{name.removeprefix('comfyui-')}-{version}" for name, version in sorted(versions.items())]
        self.root = cache_dir / "_".join([f"v{_FORMAT}", *names])

    def path(self, key: str, encoding: str) -> Path:
        return self.root / encoding / key

    def smallest(self, key: str, encodings: Iterable[str]) -> tuple[str, Path, int] | None:
        """The smallest copy in one of the encodings, with its size; ``None`` if there is none."""
        best: tuple[str, Path, int] | None = None
        for encoding in encodings:
            path = self.path(key, encoding)
            try:
                size = path.stat().st_size
            except OSError:
                continue
            if best is None or size < best[2]:
                best = (encoding, path, size)
        return best

    def write(self, key: str, encoding: str, body: bytes) -> Path:
        path = self.path(key, encoding)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(body)
        part.replace(path)
        return path

    @property
    def is_complete(self) -> bool:
        return (self.root / "complete").exists()

    def mark_complete(self) -> None:
        (self.root / "complete").touch()

    def compress(self, key: str, source: Path, encoding: str) -> None:
        """Make one copy, unless it exists."""
        if not self.path(key, encoding).exists():
            self.write(key, encoding, ENCODINGS[encoding].thorough(source.read_bytes()))
