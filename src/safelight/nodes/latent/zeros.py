"""Zero tensors, within the size limit for prompts."""

import torch

from safelight.nodes.image.size_limit import check_size


def zeros(*shape: int) -> torch.Tensor:
    """Raises :class:`~safelight.core.errors.TooLarge` before any memory is allocated."""
    check_size(shape)
    return torch.zeros(shape)
