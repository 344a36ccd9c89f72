"""What HunyuanVideo does with embeddings before its blocks: a small transformer over the text, and layers that bring
the features of glyphs and pictures to the network's width."""

import torch
from torch import nn
from torch.nn import functional

from safelight.models.operations import Linear
from safelight.models.transformer.attention import attend, split_heads
from safelight.models.transformer.embeddings import TwoLayers, spread

EPSILON = 1e-6
BLOCKS = 2
TIME_FEATURES = 256


class TextRefiner(nn.Module):
    def __init__(self, features: int, width: int, heads: int) -> None:
        super().__init__()
        self.input_embedder = Linear(features, width)
        self.t_embedder = TwoLayers(TIME_FEATURES, width)
        self.c_embedder = TwoLayers(features, width)
        self.individual_token_refiner = _Blocks(width, heads)

    def forward(self, text: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """``text [B, tokens, features]`` to ``[B, tokens, width]``."""
        times = self.t_embedder(spread(timestep, TIME_FEATURES, factor=1.0).to(text.dtype))
        embedding = times + self.c_embedder(text.mean(dim=1))
        refined: torch.Tensor = self.individual_token_refiner(self.input_embedder(text), embedding)
        return refined


class _Blocks(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(BLOCKS))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, embedding)
        return x


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(width, 2 * width))
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=EPSILON), nn.LayerNorm(width, eps=EPSILON)
        self.self_attn = _Attention(width, heads)
        self.mlp = nn.Sequential(Linear(width, 4 * width), nn.SiLU(), Linear(4 * width, width))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        attention_gate, feed_gate = self.adaLN_modulation(embedding)[:, None].chunk(2, dim=-1)
        x = x + self.self_attn(self.norm1(x)) * attention_gate
        result: torch.Tensor = x + self.mlp(self.norm2(x)) * feed_gate
        return result


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        result: torch.Tensor = self.proj(attend(q, k, v))
        return result


class GlyphTokens(nn.Module):
    """From the features of byT5. ``inner``: of the first layers."""

    def __init__(self, features: int, inner: int, width: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(features)
        self.fc1, self.fc2, self.fc3 = Linear(features, inner), Linear(inner, inner), Linear(inner, width)

    def forward(self, glyphs: torch.Tensor) -> torch.Tensor:
        inner = self.fc2(functional.gelu(self.fc1(self.layernorm(glyphs))))
        tokens: torch.Tensor = self.fc3(functional.gelu(inner))
        return tokens


class PictureTokens(nn.Module):
    """From the features of an image encoder."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(features), Linear(features, features), nn.GELU(), Linear(features, width), nn.LayerNorm(width)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.proj(features)
        return tokens
