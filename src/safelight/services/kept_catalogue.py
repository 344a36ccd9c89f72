"""The latest catalogue in a file of the data folder, with a fingerprint of the node packs that declared it.

A restarted server uses it to accept jobs immediately. A server whose packs have changed since finds that the
fingerprint differs, and waits for a worker to declare its nodes. The rows (``services/node.py``) have no fingerprint.
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
"""Extensions of files that can change what nodes a pack declares."""


class KeptCatalogue(msgspec.Struct, frozen=True):
    fingerprint: str
    digest: str
    nodes: list[NodeSchema]


def fingerprint_of(folders: Sequence[Path], packages: Sequence[str]) -> str:
    """The fingerprint of the packs in ``folders`` (names, sizes and times of their files) and of this version's own
    nodes. Blocks."""
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
    """``None`` where there is no catalogue in a form that this version can read. Blocks."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=KeptCatalogue)
    except (OSError, msgspec.MsgspecError):
        return None
