"""Which model files this process holds in memory; a process whose nodes run no models holds none."""

import sys
from collections.abc import Sequence
from pathlib import Path


def warm_models(roots: Sequence[Path]) -> tuple[str, ...]:
    """By the names under which prompts know them: relative to their model folder."""
    residency = sys.modules.get("safelight.models.residency")
    if residency is None:
        return ()
    names = (_name(path, roots) for path in residency.residency.files())
    return tuple(sorted({name for name in names if name is not None}))


def free_unused() -> None:
    """Whatever is not in use."""
    residency = sys.modules.get("safelight.models.residency")
    if residency is not None:
        residency.residency.free()


def _name(path: Path, roots: Sequence[Path]) -> str | None:
    for root in roots:
        if path.is_relative_to(root.resolve()):
            return "/".join(path.relative_to(root.resolve()).parts[1:])
    return None
