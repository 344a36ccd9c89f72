"""The model files in memory. Does not import torch: a worker whose nodes run no models never does."""

from collections.abc import Sequence
from pathlib import Path

from safelight.worker.context import WorkerContext


def warm_models(worker: WorkerContext) -> tuple[str, ...]:
    """Return the names of the models in memory as prompts write them: relative to their model folder."""
    if worker.networks is None:
        return ()
    names = (_name(path, worker.model_roots) for path in worker.networks.files())
    return tuple(sorted({name for name in names if name is not None}))


def free_unused(worker: WorkerContext) -> None:
    """Evict every network that is not in use."""
    if worker.networks is not None:
        worker.networks.free()


def _name(path: Path, roots: Sequence[Path]) -> str | None:
    for root in roots:
        if path.is_relative_to(root.resolve()):
            return "/".join(path.relative_to(root.resolve()).parts[1:])
    return None
