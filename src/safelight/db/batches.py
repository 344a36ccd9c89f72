"""Splits long lists of keys into batches for one statement each."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

BATCH = 500
"""Keys per statement: enough to make the cost of a statement negligible, and far below the limits of both databases."""


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """``items`` in order, in lists of at most ``size``."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
