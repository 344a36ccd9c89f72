"""The random numbers of the dataset nodes."""

import numpy as np


def random_state(seed: int) -> np.random.RandomState:
    """NumPy's Mersenne Twister; node seeds are longer than its own and are reduced."""
    return np.random.RandomState(seed % (2**32 - 1))
