"""What is known about one file of miniature weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class MiniatureFile:
    """``folder`` and ``name``: where the official templates look for the file. ``build``: its network, without data.
    ``prefix``: of the weights' names. ``format``: ``bf16``, ``fp32``, a key of
    :data:`safelight.models.quant.quantizing.WRITERS`, or a GGUF format; layers that cannot have it stay in bfloat16.
    ``more``: tensors besides the network's. ``tokenizer``: the contents of the ``tokenizer.json`` beside it."""

    folder: str
    name: str
    build: Build
    prefix: str = ""
    format: str = "bf16"
    more: Mapping[str, Callable[[], torch.Tensor]] = field(default_factory=dict)
    tokenizer: Callable[[], str] | None = None


@dataclass(frozen=True)
class Miniature:
    """The files of one model: ``name`` is what the command calls it."""

    name: str
    files: tuple[MiniatureFile, ...]
