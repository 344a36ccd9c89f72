"""The random numbers of the dataset nodes."""

import numpy as np


def random_state(seed: int) -> np.random.RandomState:
    """NumPy's Mersenne Twister, whose seeds are shorter than a node's."""
    return np.random.RandomState(seed % (2**32 - 1))
