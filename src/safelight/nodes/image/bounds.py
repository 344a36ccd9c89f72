"""How large a tensor may be that a prompt asks for: each of its numbers is bounded by its node, their product here."""

import math
from collections.abc import Sequence

from safelight.core.errors import TooLarge

MAX_NUMBERS = 2**31
"""Of one tensor: 8 GiB as float32."""


def check_size(shape: Sequence[int]) -> None:
    """To be asked before memory is taken. Raises :class:`~safelight.core.errors.TooLarge`."""
    if math.prod(shape) > MAX_NUMBERS:
        raise TooLarge(f"{' x '.join(map(str, shape))} are {math.prod(shape):,} numbers; {MAX_NUMBERS:,} are the limit")
