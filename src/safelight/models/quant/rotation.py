"""The rotation of weights before they are rounded: groups of inputs are multiplied by a regular Hadamard matrix, which
spreads outliers over the group.

The matrix is the Kronecker power of the one of order four whose rows all have the same sum ("regular"); it is symmetric
and orthogonal, so that the same function rotates back.
"""

import math
from functools import cache

import torch


def is_rotation_size(size: int) -> bool:
    """Whether there is a matrix of this size: a power of four."""
    return size >= 4 and 4 ** round(math.log(size, 4)) == size


@cache
def hadamard(size: int) -> torch.Tensor:
    """The orthogonal matrix ``[size, size]``, float32. ``size`` is a power of four."""
    first = torch.ones(4, 4) - 2 * torch.eye(4).flip(0)
    matrix = first
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, first)
    return matrix / math.sqrt(size)


def rotated(weight: torch.Tensor, group: int) -> torch.Tensor:
    """``weight [out, in]`` with each group of ``group`` inputs rotated. It is its own inverse."""
    rows, columns = weight.shape
    matrix = hadamard(group).to(weight)
    return (weight.reshape(rows, columns // group, group) @ matrix).reshape(rows, columns)
