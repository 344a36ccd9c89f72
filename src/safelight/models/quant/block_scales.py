"""The order in which files store the scales of blocks: that of NVIDIA's tensor cores ("1D Block Scaling Factors
Layout" in the documentation of cuBLAS).

The matrix of scales is padded to tiles of 128 rows and 4 columns. A tile is stored as 32 rows of 16: row ``r`` of the
tile goes to row ``r % 32``, in the four columns from ``4 * (r // 32)`` on.
"""

import torch
from torch.nn import functional

TILE_ROWS, TILE_COLUMNS = 128, 4


def stored_shape(rows: int, columns: int) -> tuple[int, int]:
    """The shape of the stored matrix for ``rows`` by ``columns`` scales."""
    return -(-rows // TILE_ROWS) * TILE_ROWS, -(-columns // TILE_COLUMNS) * TILE_COLUMNS


def in_stored_order(scales: torch.Tensor) -> torch.Tensor:
    """``scales [rows, columns]`` as files store them, padded with zeros; one byte per scale."""
    rows, columns = stored_shape(*scales.shape)
    padded = functional.pad(scales, (0, columns - scales.shape[1], 0, rows - scales.shape[0]))
    tiles = padded.reshape(rows // TILE_ROWS, 4, 32, columns // TILE_COLUMNS, TILE_COLUMNS)
    return tiles.permute(0, 3, 2, 1, 4).reshape(rows, columns)


def in_row_order(stored: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The ``[rows, columns]`` scales of a matrix that a file stores."""
    padded_rows, padded_columns = stored_shape(rows, columns)
    tiles = stored.reshape(padded_rows // TILE_ROWS, padded_columns // TILE_COLUMNS, 32, 4, TILE_COLUMNS)
    return tiles.permute(0, 3, 2, 1, 4).reshape(padded_rows, padded_columns)[:rows, :columns]
