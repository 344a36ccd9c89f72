"""What the shims know of the process that they are in. One composition root sets it: :func:`~..install.install`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safelight.core.model_folders import ExtraPlace
from safelight.sdk.node import Node


@dataclass
class Process:
    """Mutable. ``nodes``: all that are loaded so far, by id; it grows while packs load."""

    nodes: Mapping[str, type[Node]] = field(default_factory=dict)
    model_roots: Sequence[Path] = ()
    extra_models: Sequence[ExtraPlace] = ()
    custom_nodes: Sequence[Path] = ()


process = Process()
