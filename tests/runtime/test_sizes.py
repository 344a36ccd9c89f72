"""Estimates of the memory of results."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from safelight.runtime.sizes import size_of


class SoundOnDemand(Mapping[str, Any]):
    """Reads a file when it is used, as a pack's sound of a film does; here there is none."""

    def __init__(self) -> None:
        self.start = b"x" * 500

    def __getitem__(self, key: str) -> Any:
        raise OSError("the film has no sound")

    def __iter__(self) -> Iterator[str]:
        raise OSError("the film has no sound")

    def __len__(self) -> int:
        raise OSError("the film has no sound")


def test_arrays_texts_and_bytes_are_counted_at_any_depth() -> None:
    assert 1000 <= size_of([{"a": [np.zeros(100), "x" * 200]}]) < 1600


def test_a_mapping_that_loads_on_demand_is_not_loaded() -> None:
    assert 500 <= size_of([SoundOnDemand()]) < 1000


def test_a_value_is_counted_once() -> None:
    large = b"x" * 1000
    assert size_of([large, [large]]) < 1500
