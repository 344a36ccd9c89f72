"""The catalogue that was last in use, in a file of the data folder, with a fingerprint of the node packs that it is of.

So a server that starts again accepts jobs at once, and one whose packs are others since knows that it must wait for a
worker to declare its nodes. Beside the rows (``services/node.py``), which do not tell of which packs they are.
"""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from safelight import __version__
from safelight.core.node import NodeSchema

_LEFT_OUT = frozenset({".git", "__pycache__", "node_modules", ".venv"})
_CODE = (".py", ".pyd", ".so", ".json", ".toml", ".yaml", ".yml", ".txt")
"""What nodes are declared by, or from."""


class KeptCatalogue(msgspec.Struct, frozen=True):
    fingerprint: str
    digest: str
    nodes: list[NodeSchema]


def fingerprint_of(folders: Sequence[Path], packages: Sequence[str]) -> str:
    """Of the packs in ``folders`` by the names, sizes and times of their files, and of this version's own nodes.
    Blocks."""
    hasher = blake3(repr((__version__, [*packages], [str(folder.resolve()) for folder in folders])).encode())
    for folder in folders:
        for where, subfolders, names in os.walk(folder, followlinks=True):
            subfolders[:] = sorted(name for name in subfolders if name not in _LEFT_OUT)
            for name in sorted(names):
                if name.endswith(_CODE):
                    with contextlib.suppress(OSError):
                        status = os.stat(os.path.join(where, name))
                        hasher.update(repr((where, name, status.st_size, status.st_mtime_ns)).encode())
    return str(hasher.hexdigest())


def keep(path: Path, kept: KeptCatalogue) -> None:
    """Blocks. Raises :class:`OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.msgpack.encode(kept))
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def load(path: Path) -> KeptCatalogue | None:
    """``None`` where nothing was kept, or not in a form that this version reads. Blocks."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=KeptCatalogue)
    except (OSError, msgspec.MsgspecError):
        return None
