"""What may reach into a network while it runs: attention, skips and blocks; and what control networks add.

Hooks are plain functions in an immutable value. Places are named as in the original UNet: ``input_blocks.4`` is
``Place("input", 4)``, and the n-th transformer block in it has ``transformer=n``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

Section = Literal["input", "middle", "output"]


@dataclass(frozen=True, slots=True)
class Place:
    """``index``: of the block in its section; ``transformer``: of the transformer block in it."""

    section: Section
    index: int
    transformer: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """One attention as it is about to be computed.

    ``q``, ``k``, ``v``: projected, ``[B, tokens, heads * width]``. ``hidden``: what ``q`` was projected from.
    ``size``: height and width of the feature map whose pixels are the tokens of ``q``; ``full``: those of the latent.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    hidden: torch.Tensor
    heads: int
    place: Place
    size: tuple[int, int]
    full: tuple[int, int]
    is_self: bool

    def with_(self, **changes: Any) -> "Attention":
        return replace(self, **changes)


Attend = Callable[[Attention], torch.Tensor]
"""From an attention to its result, ``[B, tokens, heads * width]``, before the output projection."""

AttentionHook = Callable[[Attention, Attend], torch.Tensor]
"""Stands around an attention: calls ``attend`` with it, or one that it changed, or answers otherwise."""

SkipHook = Callable[[torch.Tensor, torch.Tensor, Place], tuple[torch.Tensor, torch.Tensor]]
"""``(hidden, skip, place)`` of an output block, before the two are concatenated; gives both back."""

BlockHook = Callable[[torch.Tensor, Place], torch.Tensor]
"""``[B, C, h, w]`` behind a block; gives what the next block sees (and, of an input block, what is skipped over).
Among ``after_skip``, of input blocks alone, and what is skipped over stays as it is."""


@dataclass(frozen=True)
class NetworkHooks:
    """In the order in which they apply; the first attention hook stands outermost."""

    attention: tuple[AttentionHook, ...] = ()
    skip: tuple[SkipHook, ...] = ()
    block: tuple[BlockHook, ...] = ()
    after_skip: tuple[BlockHook, ...] = ()

    def __add__(self, other: "NetworkHooks") -> "NetworkHooks":
        return NetworkHooks(
            self.attention + other.attention,
            self.skip + other.skip,
            self.block + other.block,
            self.after_skip + other.after_skip,
        )

    def __bool__(self) -> bool:
        return bool(self.attention or self.skip or self.block or self.after_skip)


@dataclass(frozen=True, eq=False)
class Control:
    """What control networks add, by the index of the input block. A residual of fewer items is repeated for the batch.

    ``skips``: to what is skipped over to the output blocks (ControlNet). ``inputs``: to what goes on as well (T2I
    adapters). ``middle``: behind the middle block.
    """

    skips: Mapping[int, torch.Tensor] = field(default_factory=dict)
    inputs: Mapping[int, torch.Tensor] = field(default_factory=dict)
    middle: torch.Tensor | None = None
