"""Rotary positions of LTX networks: an angle per pair of features over the whole width, not per head.

A position is a share of the largest one, from -1 to 1, and the frequencies rise exponentially from ``pi / 2``; those of
all axes alternate. Of a cosine of so large an angle the float32 rounding of the frequencies is visible, so they are
computed as in training, which is one of two types.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

THETA = 10_000.0


@dataclass(frozen=True)
class Positions:
    """How positions become angles. ``splits``: the pairs are features of the two halves of a head, not neighbours.
    ``in_double``: frequencies are computed in float64. ``from_middle``: a token's position is the middle between its
    start and its end, not its start."""

    splits: bool = False
    in_double: bool = False
    from_middle: bool = False

    def turns(
        self, spans: torch.Tensor, largest: Sequence[float], *, width: int, heads: int, from_middle: bool | None = None
    ) -> torch.Tensor:
        """Cosines and sines ``[B, heads, tokens, width / heads / 2, 2]`` of ``spans [B, axes, tokens, (start, end)]``.
        Features that are left over when ``width`` is shared among the axes are not turned."""
        middle = self.from_middle if from_middle is None else from_middle
        points = spans.mean(dim=-1) if middle else spans[..., 0]
        shares = torch.stack([points[:, axis] / end for axis, end in enumerate(largest)], dim=-1)
        angles = (shares[..., None] * 2 - 1) * self._frequencies(width // (2 * len(largest)), spans.device)
        angles = angles.transpose(-1, -2).flatten(2)
        turned = torch.stack((angles.cos(), angles.sin()), dim=-1)
        unturned = torch.tensor([1.0, 0.0], device=spans.device).expand(
            *turned.shape[:2], width // 2 - turned.shape[2], 2
        )
        whole = torch.cat((unturned, turned), dim=2)
        return whole.reshape(*whole.shape[:2], heads, -1, 2).transpose(1, 2)

    def _frequencies(self, count: int, device: torch.device) -> torch.Tensor:
        dtype = torch.float64 if self.in_double else torch.float32
        exponents = torch.linspace(0.0, 1.0, count, dtype=dtype, device=device)
        powers: torch.Tensor = THETA**exponents
        return (powers * math.pi / 2).float()


def turned(heads: torch.Tensor, turns: torch.Tensor, *, splits: bool) -> torch.Tensor:
    """``heads [B, heads, tokens, width]`` with each pair of features turned."""
    if splits:
        first, second = heads.float().chunk(2, dim=-1)
    else:
        first, second = heads.float().reshape(*heads.shape[:-1], -1, 2).unbind(-1)
    cosines, sines = turns.unbind(-1)
    pair = (first * cosines - second * sines, second * cosines + first * sines)
    return (torch.cat(pair, dim=-1) if splits else torch.stack(pair, dim=-1).flatten(-2)).to(heads.dtype)


def video_spans(
    frames: int, rows: int, columns: int, *, scale: Sequence[int], is_causal: bool, device: torch.device
) -> torch.Tensor:
    """Where the tokens of a video latent start and end in frames and pixels: ``[1, 3, tokens, 2]``. ``is_causal``: the
    first latent frame is one frame, not ``scale[0]``."""
    axes = [torch.arange(size, device=device) for size in (frames, rows, columns)]
    starts = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    spans = torch.stack((starts, starts + 1), dim=-1) * torch.tensor(scale, device=device)[:, None, None]
    if is_causal:
        spans[0] = (spans[0] + 1 - scale[0]).clamp_min(0)
    return spans[None]


COLUMNS = 4
"""Of a spectrogram that an audio latent has one position for; a second has 100."""


def audio_spans(length: int, *, device: torch.device) -> torch.Tensor:
    """Where the positions of an audio latent start and end, in seconds: ``[1, 1, length, 2]``. The first is one column
    of the spectrogram, each later one four."""
    starts = torch.arange(length, dtype=torch.float32, device=device)
    columns = (torch.stack((starts, starts + 1), dim=-1) * COLUMNS + 1 - COLUMNS).clamp_min(0)
    return (columns * 160 / 16000)[None, None]
