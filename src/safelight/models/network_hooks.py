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


@dataclass(frozen=True, slots=True, eq=False)
class TokenBlock:
    """A block of a transformer whose tokens a hook may change. ``kind``: ``refiner``, ``double`` or ``single``, and
    ``index`` counts the blocks of a kind. ``entering [B, tokens, width]``: the picture's tokens before the first block
    of this kind; ``turns``: the rotations of their positions; ``embedding [B, width]``: of the timestep."""

    kind: str
    index: int
    entering: torch.Tensor
    turns: torch.Tensor
    embedding: torch.Tensor


TokenHook = Callable[[torch.Tensor, TokenBlock], torch.Tensor]
"""Changes the picture's tokens ``[B, tokens, width]`` after a block. Called for each block of one forward pass."""

TokenHookStart = Callable[[torch.Tensor], TokenHook]
"""Makes the hook of one forward pass, given the latent ``x`` that enters the network."""

TextHook = Callable[[torch.Tensor], torch.Tensor]
"""Changes the text's tokens ``[B, tokens, width]`` before the first block."""


EnteringHook = Callable[[torch.Tensor, str], torch.Tensor]
"""Changes the tokens that enter a linear layer, given the layer's name with ``_`` for ``.``."""

EnteringHookStart = Callable[[torch.Tensor], EnteringHook]
"""Makes the hook of one forward pass, given the latent ``x`` that enters the network."""


@dataclass(frozen=True)
class NetworkHooks:
    """Hooks in the order in which they apply; the first attention hook is the outermost."""

    attention: tuple[AttentionHook, ...] = ()
    skip: tuple[SkipHook, ...] = ()
    block: tuple[BlockHook, ...] = ()
    after_skip: tuple[BlockHook, ...] = ()
    skipped: frozenset[tuple[str, int]] = frozenset()
    """Blocks of a transformer to leave out: ``("double", n)`` of two streams, ``("single", n)`` of one."""
    tokens: tuple[TokenHookStart, ...] = ()
    text: tuple[TextHook, ...] = ()
    entering: tuple[EnteringHookStart, ...] = ()

    def __add__(self, other: "NetworkHooks") -> "NetworkHooks":
        return NetworkHooks(
            self.attention + other.attention,
            self.skip + other.skip,
            self.block + other.block,
            self.after_skip + other.after_skip,
            self.skipped | other.skipped,
            self.tokens + other.tokens,
            self.text + other.text,
            self.entering + other.entering,
        )

    def __bool__(self) -> bool:
        return self != NetworkHooks()


@dataclass(frozen=True, eq=False)
class Control:
    """What control networks add, by the index of the input block. A residual with fewer items is repeated for the
    batch.

    ``skips``: added to the skips (ControlNet). ``inputs``: added to the input of the next block as well (T2I-Adapter).
    ``middle``: added after the middle block. ``tokens``: added to a picture's first tokens after a block of a
    transformer, by its kind (``double``, ``single``) and index."""

    skips: Mapping[int, torch.Tensor] = field(default_factory=dict)
    inputs: Mapping[int, torch.Tensor] = field(default_factory=dict)
    middle: torch.Tensor | None = None
    tokens: Mapping[tuple[str, int], torch.Tensor] = field(default_factory=dict)
