"""Attention over heads."""

import torch
from torch.nn import functional

from safelight.models.transformer.rotary import rotated


def split_heads(projected: torch.Tensor, heads: int) -> torch.Tensor:
    """``[B, tokens, heads * width]`` to ``[B, heads, tokens, width]``."""
    return projected.reshape(*projected.shape[:2], heads, -1).transpose(1, 2)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    turns: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """``[B, heads, tokens, width]`` each; keys and values may have fewer heads, which are shared. ``turns``: rotary
    embedding of queries and keys. ``mask``: added to the scores, or true where to attend. Returns ``[B, tokens,
    heads * width]``."""
    if turns is not None:
        q, k = rotated(q, turns), rotated(k, turns)
    shares = q.shape[1] != k.shape[1]
    attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=shares)
    return attended.transpose(1, 2).flatten(-2)
