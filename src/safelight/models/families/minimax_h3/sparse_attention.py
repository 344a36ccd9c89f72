"""Attention to the blocks of keys that matter most, for long films.

Queries and keys of the film are in blocks of 64 rows, and the mean of each block tells how much a block of queries
wants a block of keys. Each block of queries then attends exactly to the blocks that it wants, and to all that is no
film: text, references, sound. ``sol-attn`` takes the blocks above a threshold on the distribution of a query block's
scores; ``sla`` (Zhang et al., "SLA", 2025) and ``vsa`` (Zhang et al., "VSA", 2025) a fixed part, ``vsa`` with cubes of
the film as blocks. The learnt coarse branch of VSA is not computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

BLOCK = 64
CUBE = 4
"""Rows, columns and frames of a cube."""

Method = Literal["sol-attn", "sla", "vsa"]
Sink = Literal["exact_kv", "exact_kv_and_rows", "off"]


@dataclass(frozen=True)
class SparseAttention:
    """``keep``: the part of the blocks that ``sla`` and ``vsa`` take; ``tau``: the threshold of ``sol-attn``, in
    deviations above the mean. ``highest``, ``lowest``: the noise levels between which it is used. ``dense``: blocks of
    the network that do not use it. ``shortest``: sequences with fewer rows do not. ``extra``: rows with high scores in
    other blocks. ``sink``: whether what is no film is always attended to, and attends to all."""

    method: Method
    keep: float = 0.1
    tau: float = 1.3
    highest: float = 1.0
    lowest: float = 0.0
    dense: frozenset[int] = frozenset()
    shortest: int = 12288
    extra: int = 256
    sink: Sink = "exact_kv_and_rows"

    def plan(self, rows: int, film: tuple[int, int, int], sigma: float) -> "Plan | None":
        """For a sequence whose last rows are the film, of so many frames, rows and columns; ``None`` if all attend to
        all."""
        if rows < self.shortest or not self.lowest <= sigma <= self.highest:
            return None
        count = film[0] * film[1] * film[2]
        before = 0 if self.sink == "off" else rows - count
        order = _cubes(film) if self.method == "vsa" and before else torch.arange(rows - before)
        return Plan(self, before, tuple((order + before).tolist()))


@dataclass(frozen=True)
class Plan:
    """``before``: rows that are no film; ``order``: those of the film, block by block."""

    settings: SparseAttention
    before: int
    order: tuple[int, ...]

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """``[B, heads, rows, width]`` each."""
        order = torch.tensor(self.order, device=q.device)
        keys, values = _Blocks.of(k, order), _Blocks.of(v, order)
        queries = _Blocks.of(q, order)
        exact = slice(0, self.before)
        made = torch.empty_like(q)
        made[:, :, order] = self._to_blocks(queries, keys, values, k[:, :, exact], v[:, :, exact])
        if self.settings.sink == "exact_kv_and_rows":
            made[:, :, exact] = functional.scaled_dot_product_attention(q[:, :, exact], k, v)
        elif self.before:
            own = _Blocks.of(q, torch.arange(self.before, device=q.device))
            made[:, :, exact] = self._to_blocks(own, keys, values, k[:, :, exact], v[:, :, exact], is_film=False)
        return made

    def _to_blocks(
        self,
        queries: "_Blocks",
        keys: "_Blocks",
        values: "_Blocks",
        exact_keys: torch.Tensor,
        exact_values: torch.Tensor,
        *,
        is_film: bool = True,
    ) -> torch.Tensor:
        wanted = queries.means @ keys.means.transpose(-1, -2) * queries.means.shape[-1] ** -0.5
        chosen = self._chosen(wanted, is_film=is_film)
        count = int(chosen.sum(dim=-1).max())
        parts = []
        for number in range(queries.rows.shape[2]):
            own = chosen[:, :, number]
            blocks = own.float().topk(count, dim=-1).indices
            allowed = own.gather(-1, blocks)[..., None] & keys.real[blocks]
            picked, read = keys.picked(blocks), values.picked(blocks)
            seen = allowed.flatten(-2)
            if self.settings.extra and self.settings.method != "vsa":
                picked, read, seen = self._with_extra(
                    queries.means[:, :, number], own, keys, values, picked, read, seen
                )
            whole = torch.cat((exact_keys, picked), dim=2)
            mask = torch.cat((seen.new_ones(*seen.shape[:2], exact_keys.shape[2]), seen), dim=-1)[:, :, None]
            rows = queries.rows[:, :, number]
            read = torch.cat((exact_values, read), dim=2)
            parts.append(functional.scaled_dot_product_attention(rows, whole, read, attn_mask=mask))
        return torch.cat(parts, dim=2)[:, :, : queries.count]

    def _chosen(self, wanted: torch.Tensor, *, is_film: bool) -> torch.Tensor:
        """Which blocks of keys each block of queries takes, its own among them, ``[B, heads, queries, keys]``."""
        if self.settings.method == "sol-attn":
            mean, deviation = wanted.mean(dim=-1, keepdim=True), wanted.std(dim=-1, keepdim=True, correction=0)
            chosen = wanted > mean + self.settings.tau * deviation
            best = wanted.argmax(dim=-1, keepdim=True)
        else:
            count = max(-(-int(wanted.shape[-1] * self.settings.keep * 1000) // 1000), 1)
            best = wanted.topk(min(count, wanted.shape[-1]), dim=-1).indices
            chosen = torch.zeros_like(wanted, dtype=torch.bool)
        chosen = chosen.scatter(-1, best, torch.ones_like(best, dtype=torch.bool))
        if is_film:
            chosen = chosen | torch.eye(wanted.shape[-1], dtype=torch.bool, device=wanted.device)
        return chosen

    def _with_extra(
        self,
        query: torch.Tensor,
        own: torch.Tensor,
        keys: "_Blocks",
        values: "_Blocks",
        picked: torch.Tensor,
        read: torch.Tensor,
        seen: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The rows with the highest scores outside of the chosen blocks, added to what is picked."""
        every, all_values = keys.rows.flatten(2, 3), values.rows.flatten(2, 3)
        scores = (every @ query[..., None])[..., 0]
        outside = (~own[..., None] & keys.real).flatten(-2)
        scores = scores.masked_fill(~outside, float("-inf"))
        rows = scores.topk(min(self.settings.extra, scores.shape[-1]), dim=-1)
        index = rows.indices[..., None].expand(-1, -1, -1, every.shape[-1])
        more = rows.values > float("-inf")
        return (
            torch.cat((picked, every.gather(2, index)), dim=2),
            torch.cat((read, all_values.gather(2, index)), dim=2),
            torch.cat((seen, more), dim=-1),
        )


@dataclass(frozen=True, eq=False)
class _Blocks:
    """``rows [B, heads, blocks, BLOCK, width]``, the last filled up with zeros; ``real [blocks, BLOCK]`` tells the rows
    that are not; ``means [B, heads, blocks, width]``."""

    rows: torch.Tensor
    real: torch.Tensor
    means: torch.Tensor
    count: int

    @classmethod
    def of(cls, x: torch.Tensor, order: torch.Tensor) -> "_Blocks":
        missing = -len(order) % BLOCK
        padded = functional.pad(x[:, :, order], (0, 0, 0, missing))
        rows = padded.reshape(*padded.shape[:2], -1, BLOCK, padded.shape[-1])
        real = (torch.arange(len(order) + missing, device=x.device) < len(order)).reshape(-1, BLOCK)
        return cls(rows, real, rows.sum(dim=3) / real.sum(dim=1)[:, None], len(order))

    def picked(self, blocks: torch.Tensor) -> torch.Tensor:
        """``blocks [B, heads, n]`` to their rows ``[B, heads, n * BLOCK, width]``."""
        index = blocks[..., None, None].expand(-1, -1, -1, BLOCK, self.rows.shape[-1])
        return self.rows.gather(2, index).flatten(2, 3)


def _cubes(film: Sequence[int]) -> torch.Tensor:
    """The rows of a film, cube by cube."""
    axes = torch.meshgrid(*(torch.arange(side) for side in film), indexing="ij")
    sides = [-(-side // CUBE) for side in film]
    cube = torch.zeros_like(axes[0])
    for axis, side in zip(axes, sides, strict=True):
        cube = cube * side + axis // CUBE
    return cube.flatten().argsort(stable=True)
