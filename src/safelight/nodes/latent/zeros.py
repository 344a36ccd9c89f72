"""Empty tensors, as large as a prompt may ask for."""

import torch

from safelight.nodes.image.bounds import check_size


def zeros(*shape: int) -> torch.Tensor:
    """Raises :class:`~safelight.core.errors.TooLarge` before any memory is taken."""
    check_size(shape)
    return torch.zeros(shape)
