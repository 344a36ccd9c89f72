"""The worker context: what belongs to the process rather than to a job, in one object.

``runtime/main.py`` makes it and passes it to the runtime. Two kinds of code cannot be passed anything: modules that
node packs import (``folder_paths.base_path`` is evaluated at import), and networks, which are used inside nodes. They
call :func:`worker_context`, the only process-wide variable of the worker column.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from safelight.core.model_folders import ExtraPlace
from safelight.sdk.node import Node
from safelight.worker.local_copies import LocalCopies
from safelight.worker.workspace import Workspace, make_workspace

SequenceKey = tuple[str, str, str]
"""Numbered file names ``<prefix>_00001_...``: folder (``output`` or ``temp``), subfolder and prefix."""


class ResidentNetworks(Protocol):
    """The networks in memory, as code sees them that does not import torch. Implemented by ``models/residency.py``."""

    def files(self) -> frozenset[Path]:
        """The files whose weights are in memory."""
        ...

    def free(self) -> None:
        """Evict every network that is not in use."""
        ...


@dataclass(eq=False)
class WorkerContext:
    """Mutable. ``nodes``: the loaded nodes by id; grows while packs load. ``custom_nodes``: the folders of node packs.
    ``local_copies``: ``None`` to read model files where they are."""

    model_roots: Sequence[Path] = ()
    extra_models: Sequence[ExtraPlace] = ()
    custom_nodes: Sequence[Path] = ()
    nodes: Mapping[str, type[Node]] = field(default_factory=dict)
    local_copies: LocalCopies | None = None
    networks: ResidentNetworks | None = None
    """``None`` until ``models/residency.py`` makes it for the first network; a worker without networks has none."""
    filename_sequences: dict[SequenceKey, int] = field(default_factory=dict)
    """The last number that is reserved of each sequence that node packs of the running job have requested by path."""
    _workspace: Workspace | None = None

    @property
    def workspace(self) -> Workspace:
        """Made on first use: most workers have no packs that work with paths, and then no job is charged for it."""
        if self._workspace is None:
            self._workspace = make_workspace()
        return self._workspace

    @property
    def has_workspace(self) -> bool:
        return self._workspace is not None

    @contextmanager
    def reading(self, model: Path) -> Iterator[Path]:
        """Yield the path to read a model file from: a local copy, or the file itself."""
        if self.local_copies is None:
            yield model
            return
        with self.local_copies.reading(model) as copy:
            yield copy


_context: WorkerContext | None = None


def worker_context() -> WorkerContext:
    """The context of this process. A process that is not a worker (a test or a benchmark that runs a model) gets an
    empty one."""
    global _context
    if _context is None:
        _context = WorkerContext()
    return _context


def set_worker_context(context: WorkerContext) -> None:
    """Make ``context`` this process's. A worker calls it once, before it imports nodes."""
    global _context
    _context = context
