"""The blocks of Wan's transformer, under the names of its files: attention over the tokens of all frames, attention
to the text (and to a picture), and a feed-forward layer."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.normalization import layer_norm

EPSILON = 1e-6
HEAD_WIDTH = 128


@dataclass(frozen=True, eq=False)
class BlockInputs:
    """What all blocks of one call share. ``embedding [B, 1 or frames, 6, width]`` of the timestep; ``turns``: rotary
    embedding of the tokens; ``text [B, tokens, width]``; ``picture``: the tokens of an image encoder."""

    embedding: torch.Tensor
    turns: torch.Tensor
    text: torch.Tensor
    picture: torch.Tensor | None = None


class Attention(nn.Module):
    """Of the tokens to each other, or to others without positions. ``source``: the width of those."""

    def __init__(self, width: int, *, source: int = 0) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.q = Linear(width, width)
        self.k, self.v = Linear(source or width, width), Linear(source or width, width)
        self.o = Linear(width, width)
        self.norm_q, self.norm_k = Norm(width), Norm(width)

    def forward(
        self, x: torch.Tensor, others: torch.Tensor | None = None, turns: torch.Tensor | None = None
    ) -> torch.Tensor:
        others = x if others is None else others
        q, k = self.norm_q(self.q(x)), self.norm_k(self.k(others))
        result: torch.Tensor = self.o(
            attend(*(split_heads(p, self.heads) for p in (q, k, self.v(others))), turns=turns)
        )
        return result


class PictureAttention(Attention):
    """Attention to the text and, with keys and values of its own, to the tokens of a picture; without them, those see
    the text too."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.k_img, self.v_img = Linear(width, width), Linear(width, width)
        self.norm_k_img = Norm(width)

    def to_both(self, x: torch.Tensor, text: torch.Tensor, picture: torch.Tensor | None) -> torch.Tensor:
        seen = text if picture is None else picture
        q = split_heads(self.norm_q(self.q(x)), self.heads)
        pairs = (
            (self.norm_k(self.k(text)), self.v(text)),
            (self.norm_k_img(self.k_img(seen)), self.v_img(seen)),
        )
        of_text, of_picture = (attend(q, *(split_heads(part, self.heads) for part in pair)) for pair in pairs)
        result: torch.Tensor = self.o(of_text + of_picture)
        return result


class Norm(nn.Module):
    """A root mean square norm over all heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class Block(nn.Module):
    def __init__(self, width: int, feed_forward: int, *, has_picture: bool = False) -> None:
        super().__init__()
        self.self_attn = Attention(width)
        self.norm3 = nn.LayerNorm(width, eps=EPSILON)
        self.cross_attn = PictureAttention(width) if has_picture else Attention(width)
        self.ffn = nn.Sequential(Linear(width, feed_forward), nn.GELU(approximate="tanh"), Linear(feed_forward, width))
        self.modulation = nn.Parameter(torch.empty(1, 6, width))

    def forward(self, x: torch.Tensor, given: BlockInputs) -> torch.Tensor:
        parts = (self.modulation[:, None] + given.embedding).unbind(2)
        shift, scale, gate, feed_shift, feed_scale, feed_gate = (for_tokens(part, x.shape[1]) for part in parts)
        x = torch.addcmul(x, self.self_attn(modulated(x, shift, scale), turns=given.turns), gate)
        x = x + self._crossed(self.norm3(x), given)
        return torch.addcmul(x, self.ffn(modulated(x, feed_shift, feed_scale)), feed_gate)

    def _crossed(self, x: torch.Tensor, given: BlockInputs) -> torch.Tensor:
        attention: Any = self.cross_attn
        if isinstance(attention, PictureAttention):
            return attention.to_both(x, given.text, given.picture)
        result: torch.Tensor = attention(x, given.text)
        return result


class Head(nn.Module):
    """The last layer: from tokens to the features of their patches."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.head = Linear(width, features)
        self.modulation = nn.Parameter(torch.empty(1, 2, width))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """``embedding [B, 1 or frames, width]`` of the timestep."""
        parts = (self.modulation[:, None] + embedding[:, :, None]).unbind(2)
        shift, scale = (for_tokens(part, x.shape[1]) for part in parts)
        result: torch.Tensor = self.head(modulated(x, shift, scale))
        return result


def modulated(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(shift, layer_norm(x, epsilon=EPSILON), 1 + scale)


def for_tokens(values: torch.Tensor, tokens: int) -> torch.Tensor:
    """``[B, frames, width]`` for each token of each frame; a single value is left for broadcasting."""
    frames = values.shape[1]
    if frames == 1:
        return values
    return values.repeat_interleave(-(-tokens // frames), dim=1)[:, :tokens]
