"""The maximum size of a tensor that a prompt can request. Nodes limit each number, this module their product."""

import math
from collections.abc import Sequence

from safelight.core.errors import TooLarge

MAX_NUMBERS = 2**31
"""Elements of one tensor: 8 GiB as float32."""


def check_size(shape: Sequence[int]) -> None:
    """Call before memory is allocated. Raises :class:`~safelight.core.errors.TooLarge`."""
    if math.prod(shape) > MAX_NUMBERS:
        raise TooLarge(
            f"{' x '.join(map(str, shape))} are {math.prod(shape):,} values, above the limit of {MAX_NUMBERS:,}"
        )
