"""Rotary position embeddings (Su et al. 2021) of language models: positions with one or three axes, turned into the
angles of each pair of features."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rotary:
    """``theta``: the base of the wave lengths. ``scale``: positions are divided by it. ``sections``: how many pairs of
    features belong to time, height and width; empty for text alone. ``interleaves``: the pairs of the three axes take
    turns, instead of lying one after the other. ``share``: of a head's features that are rotated, the first ones."""

    theta: float
    scale: float = 1.0
    sections: tuple[int, ...] = ()
    interleaves: bool = False
    share: float = 1.0

    def angles(self, positions: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines ``[tokens, width * share]`` of heads with ``width`` features, for ``positions [tokens]``
        or, with three axes, ``[3, tokens]``."""
        width = int(width * self.share)
        frequencies = 1.0 / (self.theta ** (torch.arange(0, width, 2, device=positions.device).float() / width))
        angles = positions.float()[..., None] * (frequencies / self.scale)
        if positions.dim() == 2:
            angles = self._of_axes(angles)
        both = torch.cat((angles, angles), dim=-1)
        return both.cos(), both.sin()

    def _of_axes(self, angles: torch.Tensor) -> torch.Tensor:
        axis = torch.empty(angles.shape[-1], dtype=torch.long, device=angles.device)
        if self.interleaves:
            axis.fill_(0)
            for number, count in enumerate(self.sections[1:], start=1):
                axis[number : count * 3 : 3] = number
        else:
            ends = torch.tensor(self.sections).cumsum(0).tolist()
            for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
                axis[start:end] = number
        return angles.gather(0, axis.expand(1, *angles.shape[1:]))[0]


def rotated(x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """``x [..., tokens, width]`` with each feature of the first half and its partner in the second half rotated. If
    there are angles for fewer features, the others stay."""
    cosines, sines = angles
    if (width := cosines.shape[-1]) < x.shape[-1]:
        return torch.cat((rotated(x[..., :width], angles), x[..., width:]), dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat((-second, first), dim=-1) * sines
