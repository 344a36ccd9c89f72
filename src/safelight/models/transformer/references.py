"""Reference pictures: their tokens follow those of the latent, at positions of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from safelight.models.transformer.patches import Patches, grid_positions, in_patches


@dataclass(frozen=True, eq=False)
class PictureTokens:
    """``tokens [B, n, features]`` of the latent and then of the references; ``positions [n, axes]``."""

    latent: Patches
    tokens: torch.Tensor
    positions: torch.Tensor


def picture_tokens(
    latent: torch.Tensor,
    references: Sequence[torch.Tensor],
    *,
    patch: int,
    axes: int,
    method: str,
    index_step: float = 1.0,
) -> PictureTokens:
    """``latent [B, C, h, w]`` and ``references [B, C', h', w']``. ``method`` places the references: ``index`` one after
    the other on the first axis, ``index_step`` apart; ``uxo`` (UXO, Wu et al. 2025) diagonally below the latent;
    ``offset`` side by side, growing in the direction that keeps the whole most square."""
    own = in_patches(latent, patch)
    tokens = [own.tokens]
    positions = [grid_positions(own.rows, own.columns, axes=axes, device=latent.device)]
    height = width = 0
    for number, reference in enumerate(references, start=1):
        rows, columns = reference.shape[-2:]
        if method == "index":
            index, top, left = number * index_step, 0, 0
        elif method == "uxo":
            index, top, left = 0.0, own.rows * patch + height, own.columns * patch + width
            height, width = height + rows, width + columns
        else:
            index = 1.0
            top, left = (0, width) if rows + height > columns + width else (height, 0)
            height, width = max(height, rows + top), max(width, columns + left)
        patches = in_patches(reference, patch)
        start = torch.zeros(axes, device=latent.device)
        start[:3] = torch.tensor([index, -(-top // patch), -(-left // patch)])
        tokens.append(patches.tokens)
        positions.append(grid_positions(patches.rows, patches.columns, axes=axes, device=latent.device) + start)
    return PictureTokens(own, torch.cat(tokens, dim=1), torch.cat(positions))
