"""Linear attention by the gated delta rule (Yang et al., "Gated Delta Networks", 2024), as in Qwen3.5.

Each head remembers one matrix ``S`` from keys to values. A token first lets it fade, then replaces what the matrix
holds under the token's key by a mixture with its value, and reads it with its query:

    S <- decay * S;   S <- S + key^T (strength * (value - key S));   output = query S

Token by token that is slow, so a text is read in chunks: within a chunk the corrections depend on each other
linearly, by a triangular system of equations.
"""

import torch
from torch import nn
from torch.nn import functional

from safelight.models.language.architecture import RecurrentShape
from safelight.models.language.cache import KeyValueCache, RecurrentState
from safelight.models.operations import Linear

CHUNK = 64
"""Tokens that are read at once."""
EPSILON = 1e-6


class GatedDelta(nn.Module):
    """Queries, keys and values pass a short causal convolution; the output is normalised and gated."""

    def __init__(self, width: int, shape: RecurrentShape, epsilon: float) -> None:
        super().__init__()
        self.shape = shape
        keys, values = shape.key_heads * shape.width, shape.value_heads * shape.width
        mixed = 2 * keys + values
        self.in_proj_qkv = Linear(width, mixed, bias=False)
        self.in_proj_z = Linear(width, values, bias=False)
        self.in_proj_b = Linear(width, shape.value_heads, bias=False)
        self.in_proj_a = Linear(width, shape.value_heads, bias=False)
        self.conv1d = nn.Conv1d(mixed, mixed, shape.kernel, groups=mixed, bias=False)
        self.dt_bias = nn.Parameter(torch.empty(shape.value_heads))
        self.A_log = nn.Parameter(torch.empty(shape.value_heads))
        self.norm = _Norm(shape.width, epsilon)
        self.out_proj = Linear(values, width, bias=False)

    def forward(self, x: torch.Tensor, cache: KeyValueCache | None, layer: int) -> torch.Tensor:
        """``x [B, tokens, width]``."""
        shape, before = self.shape, None if cache is None else cache.states.get(layer)
        projected = self.in_proj_qkv(x).transpose(1, 2)
        window = projected.new_zeros(*projected.shape[:2], shape.kernel - 1) if before is None else before.window
        seen = torch.cat((window, projected), dim=-1)
        mixed = functional.silu(functional.conv1d(seen, self.conv1d.weight.to(seen), groups=seen.shape[1]))
        keys = shape.key_heads * shape.width
        q, k, v = (
            part.reshape(len(part), -1, shape.width, part.shape[-1]).transpose(2, 3).float()
            for part in torch.split(mixed, [keys, keys, mixed.shape[1] - 2 * keys], dim=1)
        )
        repeats = shape.value_heads // shape.key_heads
        q, k = (_unit(part).repeat_interleave(repeats, dim=1) for part in (q, k))
        strength = self.in_proj_b(x).sigmoid().float().transpose(1, 2)
        rate = functional.softplus(self.in_proj_a(x).float() + self.dt_bias.float())
        fading = (-self.A_log.float().exp() * rate).transpose(1, 2)
        memory = q.new_zeros(*q.shape[:2], shape.width, shape.width) if before is None else before.memory
        output, memory = read_by_delta_rule(q * shape.width**-0.5, k, v, strength, fading, memory)
        if cache is not None:
            cache.states[layer] = RecurrentState(seen[..., seen.shape[-1] - shape.kernel + 1 :], memory)
        gate = self.in_proj_z(x).unflatten(-1, (-1, shape.width))
        result: torch.Tensor = self.out_proj(self.norm(output.transpose(1, 2).to(x), gate).flatten(2))
        return result


def read_by_delta_rule(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    strength: torch.Tensor,
    fading: torch.Tensor,
    memory: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the queries read, ``[B, heads, tokens, value width]``, and the memory afterwards.

    ``q``, ``k``: ``[B, heads, tokens, width]``; ``strength`` and ``fading``, the logarithm of the decay: ``[B, heads,
    tokens]``; ``memory [B, heads, width, value width]``. All in float32."""
    outputs = []
    chunks = zip(*(torch.split(part, CHUNK, dim=2) for part in (q, k, v, strength, fading)), strict=True)
    for queries, keys, values, weight, fade in chunks:
        faded = fade.cumsum(dim=-1)
        # How much of what one token (column) wrote is left at another (row) of the chunk.
        later = torch.ones(faded.shape[-1], faded.shape[-1], dtype=torch.bool, device=q.device).triu(1)
        left = (faded[..., :, None] - faded[..., None, :]).masked_fill(later, float("-inf")).exp()
        since_start, until_end = faded.exp()[..., None], (faded[..., -1:] - faded).exp()[..., None]
        weighed = keys * weight[..., None]
        system = (weighed @ keys.transpose(-1, -2)) * left
        wanted = values * weight[..., None] - (weighed * since_start) @ memory
        written = torch.linalg.solve_triangular(system, wanted, upper=False, unitriangular=True)
        within = (queries @ keys.transpose(-1, -2)) * left
        outputs.append((queries * since_start) @ memory + within @ written)
        memory = memory * since_start[..., -1:, :] + (keys * until_end).transpose(-1, -2) @ written
    return torch.cat(outputs, dim=2), memory


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt((x * x).sum(dim=-1, keepdim=True) + EPSILON)


class _Norm(nn.Module):
    """An RMS norm with a gate."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        normed = functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        return normed * functional.silu(gate.float()).to(x)
