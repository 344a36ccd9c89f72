"""Hooks into a running network (attention, skips, blocks), and what control networks add.

Hooks are plain functions in an immutable value. Blocks are named as in the original UNet: ``input_blocks.4`` is
``BlockIndex("input", 4)``, and its n-th transformer block has ``transformer=n``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

Section = Literal["input", "middle", "output"]


@dataclass(frozen=True, slots=True)
class BlockIndex:
    """``index``: of the block in its section; ``transformer``: of the transformer block in it."""

    section: Section
    index: int
    transformer: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """The inputs of one attention layer.

    ``q``, ``k``, ``v``: projected, ``[B, tokens, heads * width]``. ``hidden``: what ``q`` was projected from. ``size``:
    height and width of the feature map whose pixels are the tokens of ``q``; ``full``: those of the latent."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    hidden: torch.Tensor
    heads: int
    block: BlockIndex
    size: tuple[int, int]
    full: tuple[int, int]
    is_self: bool

    def with_(self, **changes: Any) -> "Attention":
        return replace(self, **changes)


Attend = Callable[[Attention], torch.Tensor]
"""Compute an attention: its result ``[B, tokens, heads * width]``, before the output projection."""

AttentionHook = Callable[[Attention, Attend], torch.Tensor]
"""Wraps an attention: calls ``attend`` with the attention or a changed one, or returns another result."""

SkipHook = Callable[[torch.Tensor, torch.Tensor, BlockIndex], tuple[torch.Tensor, torch.Tensor]]
"""``(hidden, skip, block)`` of an output block, before the two are concatenated. Returns both."""

BlockHook = Callable[[torch.Tensor, BlockIndex], torch.Tensor]
"""``[B, C, h, w]`` after a block. Returns the input of the next block (and, for an input block, the skip). In
``after_skip`` it runs only for input blocks and leaves the skip unchanged."""


@dataclass(frozen=True)
class NetworkHooks:
    """Hooks in the order in which they apply; the first attention hook is the outermost."""

    attention: tuple[AttentionHook, ...] = ()
    skip: tuple[SkipHook, ...] = ()
    block: tuple[BlockHook, ...] = ()
    after_skip: tuple[BlockHook, ...] = ()
    skipped: frozenset[tuple[str, int]] = frozenset()
    """Blocks of a transformer to leave out: ``("double", n)`` of two streams, ``("single", n)`` of one."""

    def __add__(self, other: "NetworkHooks") -> "NetworkHooks":
        return NetworkHooks(
            self.attention + other.attention,
            self.skip + other.skip,
            self.block + other.block,
            self.after_skip + other.after_skip,
            self.skipped | other.skipped,
        )

    def __bool__(self) -> bool:
        return bool(self.attention or self.skip or self.block or self.after_skip or self.skipped)


@dataclass(frozen=True, eq=False)
class Control:
    """What control networks add, by the index of the input block. A residual with fewer items is repeated for the
    batch.

    ``skips``: added to the skips (ControlNet). ``inputs``: added to the input of the next block as well (T2I-Adapter).
    ``middle``: added after the middle block."""

    skips: Mapping[int, torch.Tensor] = field(default_factory=dict)
    inputs: Mapping[int, torch.Tensor] = field(default_factory=dict)
    middle: torch.Tensor | None = None
